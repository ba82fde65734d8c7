// `simtile neighbors`: one row of a neighbours file.
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <optional>

#include "engine/base/checked.h"
#include "simtile/error.h"
#include "simtile/neighbours.h"
#include "tools/neighbor_text.h"
#include "tools/options.h"
#include "tools/output.h"
#include "tools/verb.h"

namespace simtile::tools {
namespace {

struct NeighborsArguments {
  std::string path;
  std::uint64_t row = 0;
  std::string id;
  bool by_id = false;
  bool json = false;
  Resources resources;
};

std::uint64_t find_row(const Neighbours& neighbours, const NeighborsArguments& arguments) {
  if (!arguments.by_id) return arguments.row;
  const std::optional<std::uint64_t> found = neighbours.find(arguments.id);
  if (found) return *found;
  throw Error(ErrorCode::kInvalidArgument,
              "'" + arguments.path + "' has no row with the id '" + printable(arguments.id) + "'");
}

std::string to_json(const Neighbours& neighbours, std::uint64_t row) {
  const NeighboursInfo info = neighbours.info();
  std::vector<JsonNeighbour> found;
  for (const Neighbour& neighbour : neighbours.row(row))
    found.push_back({neighbour, json_id(info.base_id_kind, neighbours.base_id(neighbour.row))});
  std::string text;
  append_json(text, row, json_id(info.query_id_kind, neighbours.query_id(row)), found);
  return text + "\n";
}

std::string to_table(const Neighbours& neighbours, std::uint64_t row) {
  const bool with_ids = neighbours.info().base_id_kind != "none";
  const std::vector<Neighbour> found = neighbours.row(row);
  std::vector<std::string> ids;
  std::size_t width = 2;
  for (const Neighbour& neighbour : found) {
    ids.push_back(with_ids ? printable(neighbours.base_id(neighbour.row)) : "");
    width = std::max(width, ids.back().size());
  }
  const auto id_column = [&](const std::string& id) { return with_ids ? fmt::format("  {:<{}}", id, width) : ""; };
  std::string table = fmt::format("{:>6}{}  {:>12}  {}\n", "rank", id_column("id"), "row", "score");
  for (std::size_t i = 0; i < found.size(); ++i)
    table += fmt::format("{:>6}{}  {:>12}  {}\n", i + 1, id_column(ids[i]), found[i].row, format_score(found[i].score));
  return table;
}

void run(const NeighborsArguments& arguments) {
  const Neighbours neighbours(arguments.path, kStreamed);
  const NeighboursInfo info = neighbours.info();
  check_streaming_budget(arguments.resources, checked_multiply(info.top_k != 0 ? info.top_k : info.base_rows, 128,
                                                               ErrorCode::kBudgetTooSmall, "neighbours of a row"));
  const std::uint64_t row = find_row(neighbours, arguments);
  print(arguments.json ? to_json(neighbours, row) : to_table(neighbours, row));
}

}  // namespace

Action declare_neighbors(CLI::App& app) {
  const auto arguments = std::make_shared<NeighborsArguments>();
  app.add_option("file", arguments->path, "The neighbours file (.knn)")->required()->type_name("FILE");
  CLI::Option* row = add_count(app, "--row", &arguments->row, 0, "The query row's number, from 0");
  CLI::Option* id = app.add_option("--id", arguments->id, "The query row's id")->type_name("ID");
  row->excludes(id);
  app.add_flag("--json", arguments->json, "Print one JSON object");
  add_resources(app, &arguments->resources);
  return [arguments, row, id] {
    if (row->count() + id->count() == 0)
      throw Error(ErrorCode::kInvalidArgument, "give --row or --id; see 'simtile neighbors --help'");
    arguments->by_id = id->count() > 0;
    run(*arguments);
  };
}

}  // namespace simtile::tools
