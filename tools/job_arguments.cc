#include "tools/job_arguments.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <utility>

#include "simtile/error.h"
#include "simtile/memory.h"
#include "simtile/screen.h"

namespace simtile::tools {
namespace {

constexpr std::uint64_t kDefaultTopK = 10;

float parse_score(const std::string& text) {
  const auto score = static_cast<float>(parse_finite(text));
  if (!std::isfinite(score)) throw Error(ErrorCode::kInvalidArgument, "'" + text + "' does not fit in a 32-bit float");
  return score;
}

// A field's name and the rest, from NAME=REST.
std::pair<std::string, std::string> split_name(const std::string& text, const std::string& wanted) {
  const std::size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0 || equals + 1 == text.size())
    throw Error(ErrorCode::kInvalidArgument, "'" + text + "' is no field; give " + wanted);
  return {text.substr(0, equals), text.substr(equals + 1)};
}

// A colon and a number at the end are the weight; any other colon belongs to the file's name.
JobField parse_field(const std::string& text) {
  const auto [name, rest] = split_name(text, "--field NAME=FILE or NAME=FILE:WEIGHT");
  JobField field{name, rest, "", 1.0f};
  const std::size_t colon = rest.rfind(':');
  if (colon == std::string::npos || colon == 0 || colon + 1 == rest.size()) return field;
  const std::string tail = rest.substr(colon + 1);
  if (tail.find_first_not_of("0123456789.+-eE") != std::string::npos) return field;
  field.weight = parse_score(tail);
  field.base_path = rest.substr(0, colon);
  return field;
}

Shard parse_shard(const std::string& text) {
  Shard shard{0, 0};
  const char* const end = text.data() + text.size();
  const auto number = std::from_chars(text.data(), end, shard.number);
  const bool has_count = number.ec == std::errc{} && number.ptr != end && *number.ptr == '/';
  const auto count = std::from_chars(has_count ? number.ptr + 1 : end, end, shard.count);
  if (!has_count || count.ec != std::errc{} || count.ptr != end || shard.number == 0 || shard.number > shard.count)
    throw Error(ErrorCode::kInvalidArgument,
                "'" + text + "' names no shard; write 1/3, 2/3 and 3/3 for the three shards of a job");
  return shard;
}

}  // namespace

void add_field_options(CLI::App& app, JobArguments* arguments, bool with_queries) {
  app.add_option("--field", arguments->fields,
                 "Instead of a matrix, once for each field: the score is the sum of the fields' scores times their "
                 "weights (default: 1). Fields have the same rows, dense or sparse; cosine or ip")
      ->allow_extra_args(false)
      ->type_name("NAME=FILE[:WEIGHT]");
  if (with_queries)
    app.add_option("--query-field", arguments->query_fields, "The query rows of the field of that name, for each field")
        ->allow_extra_args(false)
        ->type_name("NAME=FILE");
  app.add_flag("--renormalize", arguments->options.renormalize,
               "Divide each sum by the weights of the fields that both rows have; a row that is all zeros in a field "
               "lacks it");
}

JobInput job_input(const JobArguments& arguments) {
  JobInput input = arguments.input;
  for (const std::string& text : arguments.fields) input.fields.push_back(parse_field(text));
  for (const std::string& text : arguments.query_fields) {
    const auto [name, path] = split_name(text, "--query-field NAME=FILE");
    const auto field = std::find_if(input.fields.begin(), input.fields.end(),
                                    [wanted = name](const JobField& f) { return f.name == wanted; });
    if (field == input.fields.end())
      throw Error(ErrorCode::kInvalidArgument,
                  "--query-field '" + name + "' names no field; give --field " + name + "=FILE as well");
    if (!field->queries_path.empty())
      throw Error(ErrorCode::kInvalidArgument, "field '" + name + "' has two query files; give one");
    field->queries_path = path;
  }
  return input;
}

std::vector<std::string> input_paths(const JobInput& input) {
  std::vector<std::string> matrices{input.base_path, input.queries_path};
  for (const JobField& field : input.fields) matrices.insert(matrices.end(), {field.base_path, field.queries_path});
  std::vector<std::string> paths;
  for (const std::string& path : matrices)
    if (!path.empty()) paths.insert(paths.end(), {path, default_screen_path(path)});
  return paths;
}

void add_job_words(CLI::App& app, std::vector<std::string>* words) {
  app.add_option("what", *words, "'join' and one matrix file, or 'search' and two; the word may be left out")
      ->expected(0, 3)
      ->type_name("[join|search] BASE [QUERIES]");
}

JobInput input_of(std::vector<std::string> words, const JobArguments& arguments, const std::string& verb) {
  const bool by_fields = !arguments.fields.empty();
  const bool is_job = !words.empty() && (words[0] == "join" || words[0] == "search") && (words.size() > 1 || by_fields);
  const std::string job = is_job ? words[0] : "";
  if (is_job) words.erase(words.begin());
  if (by_fields && words.empty() && (job.empty() || (job == "join") == arguments.query_fields.empty()))
    return job_input(arguments);
  if (by_fields || words.empty())
    throw Error(ErrorCode::kInvalidArgument,
                "give matrix files, or --field for each field and in a search --query-field; see 'simtile " + verb +
                    " --help'");
  const std::size_t wanted = job == "join" ? 1 : job == "search" ? 2 : words.size();
  if (words.size() != wanted || words.size() > 2)
    throw Error(ErrorCode::kInvalidArgument,
                "give 'join' and one matrix file, or 'search' and two; see 'simtile " + verb + " --help'");
  return {words[0], words.size() == 2 ? words[1] : ""};
}

void add_answer_options(CLI::App& app, JobArguments* arguments) {
  JobOptions& options = arguments->options;
  add_count(app, "-k,--top-k", &options.top_k, 1,
            "Neighbours to keep for each row (default: 10; with --min-score, all that are good enough)");
  add_parsed(app, "--metric", "cosine|ip|l2",
             "cosine or ip (larger is better), or l2 (squared distance, smaller is better) (default: cosine)",
             [&options](const std::string& word) { options.metric = parse_metric(word); });
  app.add_option("-o,--output", arguments->output_path, "The neighbours file (.knn) to write")->type_name("FILE");
  add_resources(app, &arguments->resources);
  add_parsed(app, "--min-score", "S",
             "Keep only pairs at least this good; for l2, at most this distance. Without --top-k, all of those",
             [&options](const std::string& text) { options.min_score = parse_score(text); });
  app.add_option(
         "--work-dir", options.work_dir,
         "Folder for what is spilled and for the journal, removed when the job is done if nothing else is in it "
         "(default: the output's name and .work)")
      ->type_name("DIR");
  add_progress(app, &arguments->progress);
}

void add_job_options(CLI::App& app, JobArguments* arguments) {
  JobOptions& options = arguments->options;
  add_answer_options(app, arguments);
  add_parsed(app, "--isa", "auto|scalar|avx2|avx512",
             "Instruction set of the kernels: auto, scalar, avx2 or avx512 (default: auto, the widest there is); it "
             "never changes the answer",
             [&options](const std::string& word) { options.isa = parse_isa(word); });
  add_parsed(
      app, "--screen", "auto|on|off",
      "Look at cheap upper bounds first and score only the pairs that they leave: auto, on or off (default: auto, "
      "where a sample says that it pays); it never changes the answer",
      [&options](const std::string& word) { options.screen = parse_screen_use(word); });
  add_parsed(
      app, "--pairs", "auto|once|twice",
      "How often a self-join scores a pair of rows: once, for both, so that what is found for the one whose turn "
      "has not come is kept or spilled, or twice, for one at a time (default: auto, which spills or scores twice "
      "only where a budget is too small, whichever is faster); it never changes the answer",
      [&options](const std::string& word) { options.pairs = parse_pair_scoring(word); });
  app.add_option("--report", arguments->report_path, "Write a job report in JSON to this file")->type_name("FILE");
  app.add_flag_callback(
      "--memory-pressure", [&options] { options.memory_is_short = MemoryPressure(); },
      "While the machine or the control group is short of memory, work on one tile at a time and read none ahead");
  app.add_flag("--fresh", options.fresh, "Forget what an interrupted run of this job left, and start over");
  add_number(app, "--checkpoint-seconds", &options.checkpoint_seconds, 0.0,
             "Least time between checkpoints in seconds; they fall at the ends of stripes (default: 1)");
  add_parsed(app, "--shard", "I/N",
             "Do the I-th of N equal shares of the job alone, I from 1; 'simtile merge' puts them together",
             [&options](const std::string& text) { options.shard = parse_shard(text); });
}

JobOptions job_options(const JobArguments& arguments) {
  JobOptions options = arguments.options;
  if (options.top_k == 0 && !options.min_score) options.top_k = kDefaultTopK;
  options.budget_bytes = arguments.resources.budget_bytes;
  options.threads = arguments.resources.threads;
  return options;
}

}  // namespace simtile::tools
