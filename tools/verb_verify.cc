// `simtile verify`: reads a whole file and checks every checksum.
#include <fmt/format.h>

#include <memory>

#include "simtile/byte_size.h"
#include "simtile/verify.h"
#include "tools/options.h"
#include "tools/output.h"
#include "tools/verb.h"

namespace simtile::tools {

Action declare_verify(CLI::App& app) {
  struct Arguments {
    std::string path;
    Resources resources;
  };
  const auto arguments = std::make_shared<Arguments>();
  app.add_option("file", arguments->path, "A matrix file (.emb), neighbours file (.knn) or screen file")
      ->required()
      ->type_name("FILE");
  add_resources(app, &arguments->resources);
  return [arguments] {
    check_streaming_budget(arguments->resources);
    const VerifySummary summary = verify_file(arguments->path);
    print_line(fmt::format("OK {}: {} file, {} blocks, {} bytes ({})", arguments->path, to_string(summary.kind),
                           summary.blocks, summary.bytes, format_byte_size(summary.bytes)));
  };
}

}  // namespace simtile::tools
