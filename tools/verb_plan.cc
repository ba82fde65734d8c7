// `simtile plan`: what a join or search with the same arguments would do and need.
#include <fmt/format.h>

#include <memory>

#include "simtile/error.h"
#include "tools/describe.h"
#include "tools/job_arguments.h"
#include "tools/output.h"
#include "tools/progress_text.h"
#include "tools/report.h"
#include "tools/verb.h"

namespace simtile::tools {
namespace {

constexpr double kCalibrationSeconds = 0.5;

struct PlanArguments {
  std::vector<std::string> words;  // [join|search] BASE [QUERIES]
  bool json = false;
  JobArguments job;
};

Fact number(const std::string& key, double value, const std::string& text) { return {key, value, text}; }
// Of all pairs that are good enough, nobody knows how many there are.
Fact unless_unknown(const JobPlan& plan, const Fact& fact) {
  return plan.all_pairs ? Fact{fact.key, nullptr, "not known before the pairs are found"} : fact;
}
Fact share(const std::string& key, double value) { return number(key, value, fmt::format("{:.3g}%", 100.0 * value)); }

std::vector<Fact> describe_plan(const JobPlan& plan, double flops_per_second) {
  const bool is_estimated = flops_per_second > 0.0;
  const double seconds = is_estimated ? plan.flops * plan.screen_cost / flops_per_second : 0.0;
  return {fact("command", plan.self_join ? "join" : "search"),
          fact("query_rows", plan.query_rows),
          fact("base_rows", plan.base_rows),
          fact("dims", plan.dims),
          yes_or_no("sparse", plan.sparse),
          fact("fields", describe_fields(plan.fields)),
          yes_or_no("renormalize", plan.renormalize),
          fact("metric", std::string(to_string(plan.metric))),
          fact("top_k", plan.top_k),
          yes_or_no("all_pairs", plan.all_pairs),
          fact("threads", std::uint64_t{plan.threads}),
          fact("isa", std::string(to_string(plan.isa))),
          size("budget_bytes", plan.budget_bytes),
          size("smallest_budget_bytes", plan.smallest_budget_bytes),
          size("planned_peak_bytes", plan.planned_peak_bytes),
          fact("shard", shard_text(plan.shard)),
          fact("stripe_rows", plan.stripe_rows),
          fact("tile_columns", plan.tile_columns),
          fact("stripes_total", plan.stripes_total),
          fact("tiles_total", plan.tiles_total),
          unless_unknown(plan, yes_or_no("spills", plan.spills)),
          fact("pairs_total", plan.pairs_total),
          fact("pairs_scored", plan.pairs_scored),
          number("flops", plan.flops, fmt::format("{:.4g} GFLOP", plan.flops / 1e9)),
          fact("first_look_isa", plan.first_look_isa),
          yes_or_no("screened", plan.screened),
          fact("screen_first_dims", plan.screen_first_dims),
          fact("screen_next_dims", plan.screen_next_dims),
          share("screen_left_first", plan.screen_left_first),
          share("screen_left_next", plan.screen_left_next),
          share("screen_cost", plan.screen_cost),
          fact("sample_rows", plan.sample_rows),
          size("bytes_read", plan.bytes_read),
          unless_unknown(plan, size("bytes_spilled", plan.bytes_spilled)),
          unless_unknown(plan, size("output_bytes", plan.output_bytes)),
          number("flops_per_second", flops_per_second,
                 is_estimated ? fmt::format("{:.1f} GFLOP/s here, now", flops_per_second / 1e9) : "not measured"),
          number("estimated_seconds", seconds,
                 is_estimated ? fmt::format("{} ({:.3g} s)", format_duration(seconds), seconds)
                              : "not estimated: arithmetic is not what such a job waits for")};
}

}  // namespace

Action declare_plan(CLI::App& app) {
  const auto arguments = std::make_shared<PlanArguments>();
  add_job_words(app, &arguments->words);
  add_field_options(app, &arguments->job, true);
  add_job_options(app, &arguments->job);
  app.add_flag("--json", arguments->json, "Print one JSON object");
  return [arguments] {
    const JobPlan plan = plan_job(input_of(arguments->words, arguments->job, "plan"), job_options(arguments->job));
    const std::vector<Fact> facts = describe_plan(plan, calibrate_flops_per_second(plan, kCalibrationSeconds));
    print(arguments->json ? to_json(facts) : to_table(facts));
  };
}

}  // namespace simtile::tools
