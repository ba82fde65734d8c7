// `simtile join` and `simtile search`: one job each.
#include <fmt/format.h>

#include <memory>

#include "simtile/byte_size.h"
#include "simtile/error.h"
#include "tools/job_arguments.h"
#include "tools/output.h"
#include "tools/report.h"
#include "tools/stop_signal.h"
#include "tools/verb.h"

namespace simtile::tools {
namespace {

std::string summary(const JobReport& report, const std::string& output_path) {
  if (report.shard_was_done)
    return fmt::format("shard {} was done before; merge when all shards are\n", shard_text(report.plan.shard));
  if (report.plan.shard)
    return fmt::format("shard {} in {:.2f} s, {:.1f} GFLOP/s, peak {} of {}; merge when all shards are done\n",
                       shard_text(report.plan.shard), report.seconds,
                       report.seconds > 0.0 ? report.flops / report.seconds / 1e9 : 0.0,
                       format_byte_size(report.peak_rss_bytes), format_byte_size(report.plan.budget_bytes));
  return fmt::format("{} rows in {:.2f} s, {:.1f} GFLOP/s, peak {} of {} -> {}\n", report.plan.query_rows,
                     report.seconds, report.seconds > 0.0 ? report.flops / report.seconds / 1e9 : 0.0,
                     format_byte_size(report.peak_rss_bytes), format_byte_size(report.plan.budget_bytes), output_path);
}

JobReport run_watched(const JobInput& input, const JobArguments& arguments) {
  JobOptions options = job_options(arguments);
  ProgressPrinter printer(arguments.progress);
  JobProgress latest;
  options.stop = &stop_on_signals();
  options.progress = [&](const JobProgress& progress) {
    latest = progress;
    printer.update(progress);
  };
  try {
    return run_job(input, arguments.output_path, options);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kInterrupted) throw;
    throw Error(ErrorCode::kInterrupted,
                fmt::format("interrupted at {:.1f}%; run the same command again to take up where it stopped, or add "
                            "--fresh to start over",
                            100.0 * latest.fraction_done));
  }
}

// A join's input has no queries, a search's has.
JobInput checked_input(const std::string& command, const JobArguments& arguments) {
  const bool is_search = command == "search";
  JobInput input = job_input(arguments);
  if (input.fields.empty() && (input.base_path.empty() || input.queries_path.empty() == is_search))
    throw Error(ErrorCode::kInvalidArgument,
                is_search ? "give the base's matrix file and the queries', or --field and --query-field for each field"
                          : "give a matrix file, or --field NAME=FILE for each field");
  if (is_search && !input.fields.empty() && arguments.query_fields.empty())
    throw Error(ErrorCode::kInvalidArgument, "a search by fields needs --query-field NAME=FILE for each field");
  return input;
}

void check_report_path(const JobArguments& arguments, const JobInput& job) {
  if (arguments.report_path.empty()) return;
  storage::check_output_path(arguments.report_path, input_paths(job));
  if (os::is_same_entry(arguments.report_path, arguments.output_path))
    throw Error(ErrorCode::kInvalidArgument,
                "the report and the answer are both to be '" + arguments.output_path + "'; name two files");
}

void run(const std::string& command, const JobArguments& arguments) {
  const JobInput job = checked_input(command, arguments);
  check_report_path(arguments, job);
  // A report that cannot be written is better refused now than after the work. Not held meanwhile: two jobs by mistake
  // should meet at the work folder, which names the other process.
  if (!arguments.report_path.empty()) Output(arguments.report_path);
  const JobReport report = run_watched(job, arguments);
  if (report.discarded_other_job)
    print_to_stderr(
        "simtile: note: the work folder held another job's progress (other inputs or options); started over\n");
  if (report.discarded_for_budget)
    print_to_stderr("simtile: note: going on with what an earlier run left takes a larger budget; started over\n");
  if (arguments.progress != ProgressStyle::kNone) print_to_stderr(summary(report, arguments.output_path));
  if (!arguments.report_path.empty()) {
    Output report_file(arguments.report_path);
    report_file.write(report_json(command, report));
    report_file.finish();
  }
}

}  // namespace

Action declare_join(CLI::App& app) {
  const auto arguments = std::make_shared<JobArguments>();
  app.add_option("matrix", arguments->input.base_path, "The matrix file (.emb)")->type_name("FILE");
  add_field_options(app, arguments.get(), false);
  add_job_options(app, arguments.get());
  app.get_option("--output")->required();
  return [arguments] { run("join", *arguments); };
}

Action declare_search(CLI::App& app) {
  const auto arguments = std::make_shared<JobArguments>();
  app.add_option("base", arguments->input.base_path, "The matrix file (.emb) to search in")->type_name("FILE");
  app.add_option("queries", arguments->input.queries_path, "The matrix file (.emb) whose rows are looked for")
      ->type_name("FILE");
  add_field_options(app, arguments.get(), true);
  add_job_options(app, arguments.get());
  app.get_option("--output")->required();
  return [arguments] { run("search", *arguments); };
}

}  // namespace simtile::tools
