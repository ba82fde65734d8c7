// Neighbours as csv and ndjson.
#include <fmt/format.h>

#include <iterator>
#include <vector>

#include "tools/export.h"
#include "tools/id_cache.h"
#include "tools/neighbor_text.h"
#include "tools/output.h"

namespace simtile::tools {

void export_csv(const ExportJob& job) {
  const Neighbours& neighbours = *job.neighbours;
  const bool with_ids = neighbours.info().query_id_kind != "none" || neighbours.info().base_id_kind != "none";
  const BaseIdCache base_ids(neighbours, job.id_cache_bytes);
  Output output(job.destination);
  output.write(with_ids ? "row,rank,neighbor_row,score,id,neighbor_id\n" : "row,rank,neighbor_row,score\n");
  std::string line;
  for_each_row(neighbours, [&](std::uint64_t row, std::span<const Neighbour> found) {
    const std::string id = with_ids ? csv_field(neighbours.query_id(row)) : "";
    for (std::size_t i = 0; i < found.size(); ++i) {
      line.clear();
      fmt::format_to(std::back_inserter(line), "{},{},{},{}", row, i + 1, found[i].row, format_score(found[i].score));
      if (with_ids) line += "," + id + "," + csv_field(base_ids.id(found[i].row));
      line += '\n';
      output.write(line);
    }
  });
  output.finish();
}

void export_ndjson(const ExportJob& job) {
  const Neighbours& neighbours = *job.neighbours;
  const NeighboursInfo info = neighbours.info();
  const BaseIdCache base_ids(neighbours, job.id_cache_bytes);
  Output output(job.destination);
  std::string line;
  std::vector<JsonNeighbour> found;
  for_each_row(neighbours, [&](std::uint64_t row, std::span<const Neighbour> of_row) {
    found.clear();
    for (const Neighbour& neighbour : of_row)
      found.push_back(
          {neighbour, info.base_id_kind == "none" ? "" : json_id(info.base_id_kind, base_ids.id(neighbour.row))});
    line.clear();
    append_json(line, row, json_id(info.query_id_kind, neighbours.query_id(row)), found);
    line += '\n';
    output.write(line);
  });
  output.finish();
}

}  // namespace simtile::tools
