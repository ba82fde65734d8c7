#include "tools/job_arguments.h"

#include <cmath>
#include <limits>

#include "simtile/error.h"

namespace simtile::tools {
namespace {

constexpr std::uint64_t kDefaultTopK = 10;

float parse_score(const std::string& text) {
  const auto score = static_cast<float>(parse_finite(text));
  if (!std::isfinite(score)) throw Error(ErrorCode::kInvalidArgument, "'" + text + "' does not fit in a 32-bit float");
  return score;
}

}  // namespace

void add_job_options(CLI::App& app, JobArguments* arguments) {
  JobOptions& options = arguments->options;
  options.top_k = kDefaultTopK;
  add_count(app, "-k,--top-k", &options.top_k, 1, "Neighbours to keep for each row (default: 10)");
  add_parsed(app, "--metric", "cosine|ip|l2",
             "cosine or ip (larger is better), or l2 (squared distance, smaller is better) (default: cosine)",
             [&options](const std::string& word) { options.metric = parse_metric(word); });
  app.add_option("-o,--output", arguments->output_path, "The neighbours file (.knn) to write")->type_name("FILE");
  add_resources(app, &arguments->resources);
  add_parsed(app, "--min-score", "S",
             "Keep only pairs at least this good; for l2, at most this distance (default: all)",
             [&options](const std::string& text) { options.min_score = parse_score(text); });
  add_parsed(app, "--isa", "auto|scalar|avx2|avx512",
             "Instruction set of the kernels: auto, scalar, avx2 or avx512 (default: auto, the widest there is); it "
             "never changes the answer",
             [&options](const std::string& word) { options.isa = parse_isa(word); });
  add_parsed(
      app, "--screen", "auto|on|off",
      "Look at cheap upper bounds first and score only the pairs that they leave: auto, on or off (default: auto, "
      "where a sample says that it pays); it never changes the answer",
      [&options](const std::string& word) { options.screen = parse_screen_use(word); });
  app.add_option("--work-dir", options.work_dir,
                 "Folder for what is spilled and for the journal (default: the output's name and .work)")
      ->type_name("DIR");
  app.add_option("--report", arguments->report_path, "Write a job report in JSON to this file")->type_name("FILE");
  add_progress(app, &arguments->progress);
  app.add_flag("--fresh", options.fresh, "Forget what an interrupted run of this job left, and start over");
  add_number(app, "--checkpoint-seconds", &options.checkpoint_seconds, 0.0,
             "Least time between checkpoints in seconds; they fall at the ends of stripes (default: 2)");
}

JobOptions job_options(const JobArguments& arguments) {
  JobOptions options = arguments.options;
  options.budget_bytes = arguments.resources.budget_bytes;
  options.threads = arguments.resources.threads;
  return options;
}

}  // namespace simtile::tools
