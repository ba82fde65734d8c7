// `simtile export`: a neighbours file in a form that other programs read.
#include <algorithm>
#include <filesystem>
#include <memory>
#include <string_view>
#include <vector>

#include "engine/base/checked.h"
#include "simtile/error.h"
#include "simtile/job.h"
#include "tools/export.h"
#include "tools/options.h"
#include "tools/output.h"
#include "tools/stop_signal.h"
#include "tools/verb.h"

namespace simtile::tools {
namespace {

struct Format {
  std::string_view name;
  void (*write)(const ExportJob& job);
};
constexpr Format kFormats[] = {{"csv", export_csv},
                               {"ndjson", export_ndjson},
                               {"npy", export_npy},
                               {"ivecs", export_ivecs},
                               {"sqlite", export_sqlite}};

// Bytes that a block of rows holds, about: large enough to amortise a call, small beside any budget.
constexpr std::uint64_t kBlockBytes = 256 * 1024;
constexpr std::uint64_t kEntryBytes = sizeof(std::uint64_t) + sizeof(float);
// What one entry of a row can hold in memory at once, text included.
constexpr std::uint64_t kEntryWorkBytes = 128;

struct ExportArguments {
  std::string path, destination, format;
  Resources resources;
};

const Format& find_format(const ExportArguments& arguments) {
  std::string name = arguments.format;
  if (name.empty()) {
    name = std::filesystem::path(arguments.destination).extension().string();
    if (!name.empty()) name.erase(0, 1);
  }
  const auto* found =
      std::find_if(std::begin(kFormats), std::end(kFormats), [&](const Format& f) { return f.name == name; });
  if (found != std::end(kFormats)) return *found;
  throw Error(ErrorCode::kInvalidArgument, "'" + (name.empty() ? arguments.destination : name) +
                                               "' says no format; give --format csv, ndjson, npy, ivecs or sqlite");
}

// Of a row.
std::uint64_t most_neighbours(const NeighboursInfo& info) {
  return info.top_k != 0 ? info.top_k : std::min(info.base_rows, info.entries);
}

void check_destination(const ExportArguments& arguments, const Format& format, bool all_pairs) {
  if (arguments.destination == "-") return;
  storage::check_output_path(arguments.destination);
  const bool is_npy = format.write == export_npy;
  const std::vector<std::string> written{arguments.destination};
  for (const std::string& path : is_npy ? npy_paths(arguments.destination, all_pairs) : written)
    storage::check_output_path(path, {arguments.path});
}

void run(const ExportArguments& arguments) {
  const Format& format = find_format(arguments);
  const Neighbours neighbours(arguments.path, kStreamed);
  const std::uint64_t row_bytes = checked_multiply(most_neighbours(neighbours.info()), kEntryWorkBytes,
                                                   ErrorCode::kBudgetTooSmall, "neighbours of a row");
  check_streaming_budget(arguments.resources, row_bytes);
  check_destination(arguments, format, neighbours.info().top_k == 0);
  const std::uint64_t budget =
      arguments.resources.budget_bytes != 0 ? arguments.resources.budget_bytes : default_budget_bytes();
  const std::uint64_t needed = kStreamingBytes + row_bytes;
  stop_on_signals();
  format.write({&neighbours, arguments.destination, budget > needed ? budget - needed : 0});
}

}  // namespace

void for_each_block(const Neighbours& neighbours, const BlockFunction& function) {
  const NeighboursInfo info = neighbours.info();
  const std::uint64_t block_rows = std::max<std::uint64_t>(1, kBlockBytes / kEntryBytes / info.top_k);
  std::vector<std::uint64_t> rows;
  std::vector<float> scores;
  for (std::uint64_t first = 0; first < info.rows; first += block_rows) {
    throw_if_stopped("nothing was written; run the same command again");
    const std::uint64_t count = std::min(block_rows, info.rows - first);
    rows.resize(static_cast<std::size_t>(count * info.top_k));
    scores.resize(rows.size());
    neighbours.read_rows(first, count, rows, scores);
    function(first, rows, scores);
  }
}

void for_each_row(const Neighbours& neighbours, const RowFunction& function) {
  constexpr std::uint64_t kRowsBetweenLooks = 1024;
  const std::uint64_t top_k = neighbours.info().top_k;
  std::vector<Neighbour> found;
  if (top_k != 0) {
    for_each_block(neighbours, [&](std::uint64_t first_row, auto rows, auto scores) {
      for (std::size_t begin = 0; begin < rows.size(); begin += top_k) {
        found.clear();
        for (std::size_t i = begin; i < begin + top_k && rows[i] != kNoRow; ++i) found.push_back({rows[i], scores[i]});
        function(first_row + begin / top_k, found);
      }
    });
    return;
  }
  for (std::uint64_t row = 0; row < neighbours.info().rows; ++row) {
    if (row % kRowsBetweenLooks == 0) throw_if_stopped("nothing was written; run the same command again");
    function(row, neighbours.row(row));
  }
}

Action declare_export(CLI::App& app) {
  const auto arguments = std::make_shared<ExportArguments>();
  app.add_option("file", arguments->path, "The neighbours file (.knn)")->required()->type_name("FILE");
  app.add_option(
         "destination", arguments->destination,
         "The file to write; - is standard output, for csv and ndjson. npy makes two: DST.rows.npy (i64) and "
         "DST.scores.npy (f32); DST may end in .npy, which is taken off first; of all pairs also DST.starts.npy (i64)")
      ->required()
      ->type_name("DST");
  app.add_option("--format", arguments->format, "csv, ndjson, npy, ivecs or sqlite (default: by the name of DST)")
      ->type_name("csv|ndjson|npy|ivecs|sqlite");
  add_resources(app, &arguments->resources);
  return [arguments] { run(*arguments); };
}

}  // namespace simtile::tools
