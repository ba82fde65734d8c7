// `simtile merge`: from the shards of a join or search to its neighbours file.
#include <fmt/format.h>

#include <memory>

#include "simtile/byte_size.h"
#include "simtile/merge.h"
#include "tools/job_arguments.h"
#include "tools/output.h"
#include "tools/stop_signal.h"
#include "tools/verb.h"

namespace simtile::tools {
namespace {

struct MergeArguments {
  std::vector<std::string> words;  // [join|search] BASE [QUERIES]
  JobArguments job;
};

void run(const MergeArguments& arguments) {
  const JobInput input = input_of(arguments.words, arguments.job, "merge");
  const std::string& output_path = arguments.job.output_path;
  JobOptions options = job_options(arguments.job);
  ProgressPrinter printer(arguments.job.progress);
  options.stop = &stop_on_signals();
  options.progress = [&](const JobProgress& progress) { printer.update(progress); };
  const MergeReport report = merge_shards(input, output_path, options);
  if (arguments.job.progress == ProgressStyle::kNone) return;
  print_to_stderr(report.was_done ? output_path + " is the answer already; what was left of the shards is removed\n"
                                  : fmt::format("{} rows of {} shards in {:.2f} s, peak {} -> {}\n", report.query_rows,
                                                report.shards, report.seconds, format_byte_size(report.peak_rss_bytes),
                                                output_path));
}

}  // namespace

Action declare_merge(CLI::App& app) {
  const auto arguments = std::make_shared<MergeArguments>();
  add_job_words(app, &arguments->words);
  add_field_options(app, &arguments->job, true);
  add_answer_options(app, &arguments->job);
  app.get_option("--output")->required();
  return [arguments] { run(*arguments); };
}

}  // namespace simtile::tools
