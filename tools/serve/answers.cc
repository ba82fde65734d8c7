#include "tools/serve/answers.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <nlohmann/json.hpp>

#include "tools/neighbor_text.h"
#include "tools/report.h"

namespace simtile::tools::serve {
namespace {

std::string quoted(const std::string& text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

// JSON has no infinity: what overflows is null.
void append_number(std::string& out, float number) {
  if (std::isfinite(number))
    fmt::format_to(std::back_inserter(out), "{}", number);
  else
    out += "null";
}

void append_neighbour(std::string& out, const Neighbour& neighbour, const std::string& id) {
  fmt::format_to(std::back_inserter(out), "{{\"row\":{}", neighbour.row);
  if (!id.empty()) out += ",\"id\":" + id;
  out += ",\"score\":";
  append_number(out, neighbour.score);
}

void append_vector(std::string& out, const std::vector<float>& values) {
  out += ",\"vector\":[";
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (i != 0) out += ',';
    append_number(out, values[i]);
  }
  out += ']';
}

}  // namespace

std::string search_answer(const std::string& index, const IndexVersion& version, const SearchRequest& request,
                          const SearchResults& results, std::size_t first) {
  const std::uint64_t queries = request.queries(version.info.columns);
  std::string out = fmt::format("{{\"index\":{},\"generation\":{},\"metric\":\"{}\",\"results\":[", quoted(index),
                                version.generation, to_string(request.metric));
  for (std::uint64_t q = 0; q < queries; ++q) {
    out += q == 0 ? "{\"neighbours\":[" : ",{\"neighbours\":[";
    bool separate = false;
    for (const Neighbour& neighbour : results[first + q]) {
      if (separate) out += ',';
      separate = true;
      append_neighbour(out, neighbour, json_id(version.info.id_kind, version.rows.id(neighbour.row)));
      if (request.include_vectors) append_vector(out, version.rows.row(neighbour.row));
      out += '}';
    }
    out += "]}";
  }
  out += "]}\n";
  return out;
}

std::string neighbours_answer(const std::string& index, const IndexVersion& version, std::uint64_t row,
                              std::uint64_t top_k) {
  const Neighbours& neighbours = *version.neighbours;
  const NeighboursInfo& info = *version.neighbours_info;
  std::string out = fmt::format("{{\"index\":{},\"generation\":{},\"metric\":\"{}\",\"row\":{}", quoted(index),
                                version.neighbours_generation, to_string(info.metric), row);
  if (const std::string id = json_id(info.query_id_kind, neighbours.query_id(row)); !id.empty()) out += ",\"id\":" + id;
  out += ",\"neighbours\":[";
  const std::vector<Neighbour> found = neighbours.neighbours(row, top_k);
  for (std::size_t i = 0; i < found.size(); ++i) {
    if (i != 0) out += ',';
    append_neighbour(out, found[i], json_id(info.base_id_kind, neighbours.base_id(found[i].row)));
    out += '}';
  }
  out += "]}\n";
  return out;
}

std::string index_description(const std::string& name, const IndexVersion& version) {
  nlohmann::ordered_json index{{"name", name},
                               {"rows", version.info.rows},
                               {"columns", version.info.columns},
                               {"element_type", to_string(version.info.element_type)},
                               {"ids", version.info.id_kind},
                               {"file_bytes", version.info.file_bytes},
                               {"identity", format_hash(version.info.identity)},
                               {"generation", version.generation},
                               {"neighbours", nullptr}};
  if (version.neighbours_info)
    index["neighbours"] = {{"rows", version.neighbours_info->rows},
                           {"top_k", version.neighbours_info->top_k},
                           {"metric", to_string(version.neighbours_info->metric)},
                           {"file_bytes", version.neighbours_info->file_bytes},
                           {"identity", format_hash(version.neighbours_info->identity)},
                           {"generation", version.neighbours_generation},
                           {"of_this_base", version.neighbours_info->base_identity == version.info.identity}};
  return index.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace simtile::tools::serve
