// `simtile screen`: makes a matrix's screen file once, for the jobs to come.
#include <fmt/format.h>

#include <memory>

#include "simtile/byte_size.h"
#include "simtile/screen.h"
#include "tools/options.h"
#include "tools/output.h"
#include "tools/stop_signal.h"
#include "tools/verb.h"

namespace simtile::tools {
namespace {

struct ScreenArguments {
  std::string matrix_path;
  ScreenOptions options;
  Resources resources;
};

void run(const ScreenArguments& arguments) {
  ScreenOptions options = arguments.options;
  if (options.output_path.empty()) options.output_path = default_screen_path(arguments.matrix_path);
  options.budget_bytes = arguments.resources.budget_bytes;
  options.threads = arguments.resources.threads;
  options.stop = &stop_on_signals();
  const ScreenInfo info = build_screen(arguments.matrix_path, options);
  print_line(fmt::format("{}: {} of {} coordinates of {} rows, {}", options.output_path, info.prefix_dims, info.columns,
                         info.rows, format_byte_size(info.file_bytes)));
}

}  // namespace

Action declare_screen(CLI::App& app) {
  const auto arguments = std::make_shared<ScreenArguments>();
  app.add_option("matrix", arguments->matrix_path, "The matrix file (.emb), dense")->required()->type_name("FILE");
  app.add_option("-o,--output", arguments->options.output_path,
                 "The screen file to write (default: the matrix's name and .screen, where jobs look for it)")
      ->type_name("FILE");
  add_resources(app, &arguments->resources);
  add_parsed(app, "--isa", "auto|scalar|avx2|avx512",
             "Instruction set of the kernels: auto, scalar, avx2 or avx512 (default: auto)",
             [arguments](const std::string& word) { arguments->options.isa = parse_isa(word); });
  return [arguments] { run(*arguments); };
}

}  // namespace simtile::tools
