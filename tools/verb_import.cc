// `simtile import`: a foreign file becomes a matrix file.
#include <fmt/format.h>

#include <memory>

#include "simtile/byte_size.h"
#include "simtile/import.h"
#include "tools/import_summary.h"
#include "tools/options.h"
#include "tools/output.h"
#include "tools/progress.h"
#include "tools/stop_signal.h"
#include "tools/verb.h"

namespace simtile::tools {
namespace {

struct ImportArguments {
  std::string source_path, destination_path;
  ImportOptions options;
  Resources resources;
  ProgressStyle progress = ProgressStyle::kAuto;
};

void run(const ImportArguments& arguments) {
  check_streaming_budget(arguments.resources);
  ImportOptions options = arguments.options;
  ImportSummary imported;
  {
    ProgressPrinter printer(arguments.progress);
    stop_on_signals();
    options.progress = [&](std::uint64_t rows_done, std::uint64_t rows_total) {
      throw_if_stopped("nothing was written; run the same command again");
      printer.update(rows_done, rows_total);
    };
    imported = import_matrix(arguments.source_path, arguments.destination_path, options);
  }
  print_line(summarize(imported, arguments.destination_path));
}

}  // namespace

Action declare_import(CLI::App& app) {
  const auto arguments = std::make_shared<ImportArguments>();
  ImportOptions& options = arguments->options;
  app.add_option("source", arguments->source_path, "The file to read; - is standard input, for text")
      ->required()
      ->type_name("SRC");
  app.add_option("destination", arguments->destination_path, "The matrix file (.emb) to write")
      ->required()
      ->type_name("DST");
  app.add_option("--format", options.format, "Format of the source (default: auto, by name and first bytes)")
      ->type_name("auto|npy|npz|fvecs|bvecs|ivecs|fbin|f16bin|u8bin|i8bin|mtx|safetensors|glove|hdf5|text");
  add_parsed(app, "--dtype", "f32|f16|bf16|i8|u8",
             "Element type to store: f32, f16, bf16, i8 or u8 (default: nearest to the source's)",
             [&options](const std::string& word) { options.element_type = parse_element_type(word); });
  app.add_option("--ids", options.ids_path, "A file with one id a line, as many as rows")->type_name("FILE");
  app.add_option("--dataset", options.dataset,
                 "Member of an .npz, tensor of a .safetensors or dataset of an .hdf5 (default: the only one)")
      ->type_name("NAME");
  app.add_flag("--normalize", options.normalize, "Scale each row to Euclidean norm one; a zero row stays zero");
  add_count(app, "--dims", &options.text_dims, 1,
            "Text: make a dense matrix of N columns by signed hashing (default: a sparse one, TF-IDF)");
  add_count(app, "--hash-columns", &options.text_hash_columns, 1,
            "Text: columns of the sparse matrix (default: 1048576)");
  add_resources(app, &arguments->resources);
  add_progress(app, &arguments->progress);
  return [arguments] { run(*arguments); };
}

}  // namespace simtile::tools
