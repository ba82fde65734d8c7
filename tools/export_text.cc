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
  const std::uint64_t top_k = neighbours.info().top_k;
  const bool with_ids = neighbours.info().query_id_kind != "none" || neighbours.info().base_id_kind != "none";
  const BaseIdCache base_ids(neighbours, job.id_cache_bytes);
  Output output(job.destination);
  output.write(with_ids ? "row,rank,neighbor_row,score,id,neighbor_id\n" : "row,rank,neighbor_row,score\n");
  std::string line;
  for_each_block(neighbours, [&](std::uint64_t first_row, auto rows, auto scores) {
    std::string id;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const std::uint64_t row = first_row + i / top_k;
      if (with_ids && i % top_k == 0) id = csv_field(neighbours.query_id(row));
      if (rows[i] == kNoRow) continue;
      line.clear();
      fmt::format_to(std::back_inserter(line), "{},{},{},{}", row, i % top_k + 1, rows[i], format_score(scores[i]));
      if (with_ids) line += "," + id + "," + csv_field(base_ids.id(rows[i]));
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
  for_each_block(neighbours, [&](std::uint64_t first_row, auto rows, auto scores) {
    for (std::size_t begin = 0; begin < rows.size(); begin += info.top_k) {
      const std::uint64_t row = first_row + begin / info.top_k;
      found.clear();
      for (std::size_t i = begin; i < begin + info.top_k && rows[i] != kNoRow; ++i)
        found.push_back({{rows[i], scores[i]},
                         info.base_id_kind == "none" ? "" : json_id(info.base_id_kind, base_ids.id(rows[i]))});
      line.clear();
      append_json(line, row, json_id(info.query_id_kind, neighbours.query_id(row)), found);
      line += '\n';
      output.write(line);
    }
  });
  output.finish();
}

}  // namespace simtile::tools
