// `simtile report`: a page with pictures of how a job went.
#include <memory>

#include "engine/base/os.h"
#include "simtile/error.h"
#include "tools/options.h"
#include "tools/output.h"
#include "tools/report_page.h"
#include "tools/verb.h"

namespace simtile::tools {
namespace {

// A report has at most some hundred samples and a map of 4,096 cells.
constexpr std::uint64_t kMostReportBytes = std::uint64_t{4} << 20;

std::string read_report(const std::string& path) {
  const os::File file = os::File::open_for_reading(path);
  const std::uint64_t bytes = file.size();
  if (bytes > kMostReportBytes)
    throw Error(ErrorCode::kCorrupt, "'" + path + "' is too large for a job report; give what --report wrote");
  std::string text(static_cast<std::size_t>(bytes), '\0');
  file.read_exactly_at(std::as_writable_bytes(std::span(text)), 0);
  return text;
}

}  // namespace

Action declare_report(CLI::App& app) {
  struct Arguments {
    std::string report_path, output_path;
    Resources resources;
  };
  const auto arguments = std::make_shared<Arguments>();
  app.add_option("report", arguments->report_path, "The job report (.json) that a job wrote with --report")
      ->required()
      ->type_name("FILE");
  app.add_option("-o,--output", arguments->output_path, "The page (.html) to write")->required()->type_name("FILE");
  add_resources(app, &arguments->resources);
  return [arguments] {
    check_streaming_budget(arguments->resources);
    storage::check_output_path(arguments->output_path, {arguments->report_path});
    const std::string page = report_page(read_report(arguments->report_path), arguments->report_path);
    Output output(arguments->output_path);
    output.write(page);
    output.finish();
  };
}

}  // namespace simtile::tools
