// `simtile info`: what a simtile file says about itself.
#include <charconv>
#include <memory>
#include <optional>

#include "engine/base/os.h"
#include "simtile/error.h"
#include "simtile/matrix.h"
#include "simtile/memory.h"
#include "simtile/neighbours.h"
#include "simtile/screen.h"
#include "simtile/verify.h"
#include "tools/describe.h"
#include "tools/options.h"
#include "tools/output.h"
#include "tools/report.h"
#include "tools/verb.h"

namespace simtile::tools {
namespace {

std::vector<Fact> describe_matrix(const std::string& path) {
  const MatrixInfo info = Matrix(path, kStreamed).info();
  return {fact("path", path),
          fact("kind", "matrix"),
          fact("rows", info.rows),
          fact("columns", info.columns),
          fact("element_type", std::string(to_string(info.element_type))),
          yes_or_no("sparse", info.sparse),
          fact("nonzeros", info.nonzeros),
          yes_or_no("normalized", info.normalized),
          fact("ids", info.id_kind),
          size("row_stride_bytes", info.row_stride_bytes),
          fact("payload_offset", info.payload_offset),
          size("file_bytes", info.file_bytes),
          fact("identity", format_hash(info.identity))};
}

std::vector<Fact> describe_neighbours(const std::string& path) {
  const NeighboursInfo info = Neighbours(path, kStreamed).info();
  return {fact("path", path),
          fact("kind", "neighbours"),
          fact("rows", info.rows),
          fact("top_k", info.top_k),
          yes_or_no("all_pairs", info.top_k == 0),
          fact("entries", info.entries),
          fact("base_rows", info.base_rows),
          fact("columns", info.columns),
          fact("metric", std::string(to_string(info.metric))),
          fact("fields", describe_fields(info.fields)),
          yes_or_no("renormalized", info.renormalized),
          yes_or_no("self_join", info.self_join),
          optional_number("min_score", info.min_score ? &*info.min_score : nullptr),
          fact("query_ids", info.query_id_kind),
          fact("base_ids", info.base_id_kind),
          fact("query_identity", format_hash(info.query_identity)),
          fact("base_identity", format_hash(info.base_identity)),
          fact("rows_offset", info.rows_offset),
          fact("scores_offset", info.scores_offset),
          size("file_bytes", info.file_bytes),
          fact("identity", format_hash(info.identity))};
}

std::vector<Fact> describe_screen(const std::string& path) {
  const ScreenInfo info = read_screen_info(path);
  return {fact("path", path),
          fact("kind", "screen"),
          fact("rows", info.rows),
          fact("columns", info.columns),
          fact("prefix_dims", info.prefix_dims),
          fact("matrix_identity", format_hash(info.matrix_identity)),
          size("file_bytes", info.file_bytes),
          fact("identity", format_hash(info.identity))};
}

std::vector<Fact> describe(const std::string& path) {
  switch (identify_file(path)) {
    case FileKind::kMatrix: return describe_matrix(path);
    case FileKind::kNeighbours: return describe_neighbours(path);
    case FileKind::kScreen: return describe_screen(path);
  }
  return {};
}

std::vector<Fact> describe_process(int pid) {
  const std::optional<MemoryOfProcess> memory = memory_of_process(pid);
  if (!memory)
    throw Error(ErrorCode::kInvalidArgument, "there is no process " + std::to_string(pid) + "; give a PID or a file");
  return {fact("pid", static_cast<std::uint64_t>(pid)),   size("rss_bytes", memory->rss_bytes),
          size("rss_anon_bytes", memory->rss_anon_bytes), size("rss_file_bytes", memory->rss_file_bytes),
          size("peak_rss_bytes", memory->peak_rss_bytes), size("pss_bytes", memory->pss_bytes),
          size("pss_anon_bytes", memory->pss_anon_bytes), size("pss_file_bytes", memory->pss_file_bytes),
          size("private_bytes", memory->private_bytes),   size("page_table_bytes", memory->page_table_bytes),
          size("locked_bytes", memory->locked_bytes),     size("swap_bytes", memory->swap_bytes)};
}

std::vector<Fact> describe_cached(const std::string& path) {
  const MemoryOfFile memory = memory_of_file(path);
  return {fact("path", path),
          size("file_bytes", memory.file_bytes),
          size("cached_bytes", memory.cached_bytes),
          size("dirty_bytes", memory.dirty_bytes),
          size("writeback_bytes", memory.writeback_bytes),
          fact("source", std::string(memory.by_cachestat ? "cachestat" : "mincore"))};
}

// A number that is no file's name is a process.
std::vector<Fact> describe_memory(const std::string& what) {
  int pid = 0;
  const auto [end, error] = std::from_chars(what.data(), what.data() + what.size(), pid);
  const bool is_number = error == std::errc{} && end == what.data() + what.size() && pid > 0;
  return is_number && !os::exists(what) ? describe_process(pid) : describe_cached(what);
}

}  // namespace

Action declare_info(CLI::App& app) {
  struct Arguments {
    std::string path;
    bool json = false;
    bool memory = false;
    Resources resources;
  };
  const auto arguments = std::make_shared<Arguments>();
  app.add_option("file", arguments->path,
                 "A matrix file (.emb), neighbours file (.knn) or screen file; with --memory, any file or a PID")
      ->required()
      ->type_name("FILE");
  app.add_flag("--memory", arguments->memory, "A process's memory, or how much of a file is in the page cache");
  app.add_flag("--json", arguments->json, "Print one JSON object");
  add_resources(app, &arguments->resources);
  return [arguments] {
    check_streaming_budget(arguments->resources);
    const std::vector<Fact> facts = arguments->memory ? describe_memory(arguments->path) : describe(arguments->path);
    print(arguments->json ? to_json(facts) : to_table(facts));
  };
}

}  // namespace simtile::tools
