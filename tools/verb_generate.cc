// `simtile generate`: a synthetic matrix file, the same from the same options on every machine.
#include <algorithm>
#include <array>
#include <memory>
#include <string_view>
#include <utility>

#include "simtile/error.h"
#include "simtile/import.h"
#include "tools/import_summary.h"
#include "tools/options.h"
#include "tools/output.h"
#include "tools/progress.h"
#include "tools/stop_signal.h"
#include "tools/verb.h"

namespace simtile::tools {
namespace {

using Kind = GenerateOptions::Kind;
constexpr std::array<std::pair<std::string_view, Kind>, 3> kKinds{
    {{"gaussian", Kind::kGaussian}, {"clustered", Kind::kClustered}, {"sparse", Kind::kSparse}}};

struct GenerateArguments {
  std::string destination_path;
  GenerateOptions options;
  Resources resources;
  ProgressStyle progress = ProgressStyle::kAuto;
};

Kind parse_kind(const std::string& word) {
  const auto* found = std::find_if(kKinds.begin(), kKinds.end(), [&](const auto& kind) { return kind.first == word; });
  if (found != kKinds.end()) return found->second;
  throw Error(ErrorCode::kInvalidArgument, "'" + word + "' is not one of gaussian, clustered, sparse");
}

void run(const GenerateArguments& arguments) {
  check_streaming_budget(arguments.resources);
  GenerateOptions options = arguments.options;
  ImportSummary generated;
  {
    ProgressPrinter printer(arguments.progress);
    stop_on_signals();
    options.progress = [&](std::uint64_t rows_done, std::uint64_t rows_total) {
      throw_if_stopped("nothing was written; run the same command again");
      printer.update(rows_done, rows_total);
    };
    generated = generate_matrix(arguments.destination_path, options);
  }
  print_line(summarize(generated, arguments.destination_path));
}

}  // namespace

Action declare_generate(CLI::App& app) {
  const auto arguments = std::make_shared<GenerateArguments>();
  GenerateOptions& options = arguments->options;
  app.add_option("destination", arguments->destination_path, "The matrix file (.emb) to write")
      ->required()
      ->type_name("DST");
  add_count(app, "--rows", &options.rows, 1, "Rows")->required();
  add_count(app, "--dims", &options.dims, 1, "Columns")->required();
  add_parsed(app, "--kind", "gaussian|clustered|sparse", "gaussian, clustered or sparse (default: gaussian)",
             [&options](const std::string& word) { options.kind = parse_kind(word); });
  add_count(app, "--seed", &options.seed, 0, "Seed; another seed, other rows (default: 1)");
  add_parsed(app, "--dtype", "f32|f16|bf16|i8|u8", "Element type to store: f32, f16, bf16, i8 or u8 (default: f32)",
             [&options](const std::string& word) { options.element_type = parse_element_type(word); });
  add_count(app, "--clusters", &options.clusters, 1, "Clustered: centres (default: the square root of the rows)");
  add_number(app, "--spread", &options.cluster_spread, 0.0,
             "Clustered: how far rows lie from their centre, in distances between centres (default: 0.3)");
  add_number(app, "--nonzeros", &options.nonzeros_per_row, 0.0, "Sparse: non-zeros a row, about (default: 40)");
  add_number(app, "--zipf", &options.zipf_exponent, 0.0, "Sparse: exponent of the columns' Zipf law (default: 1)");
  add_resources(app, &arguments->resources);
  add_progress(app, &arguments->progress);
  return [arguments] { run(*arguments); };
}

}  // namespace simtile::tools
