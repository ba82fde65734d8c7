#include "tools/neighbor_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <nlohmann/json.hpp>

namespace simtile::tools {

void append_json(std::string& out, std::uint64_t row, const std::string& id,
                 std::span<const JsonNeighbour> neighbours) {
  const auto to = std::back_inserter(out);
  const auto member = [](const std::string& value) { return value.empty() ? "" : ",\"id\":" + value; };
  fmt::format_to(to, "{{\"row\":{}{},\"neighbors\":[", row, member(id));
  for (std::size_t i = 0; i < neighbours.size(); ++i) {
    const float score = neighbours[i].neighbour.score;
    // JSON has no infinity: inner products that overflow are null.
    fmt::format_to(to, "{}{{\"rank\":{},\"row\":{}{},\"score\":{}}}", i == 0 ? "" : ",", i + 1,
                   neighbours[i].neighbour.row, member(neighbours[i].id),
                   std::isfinite(score) ? format_score(score) : "null");
  }
  out += "]}";
}

std::string format_score(float score) { return fmt::format("{}", score); }

std::string json_id(std::string_view id_kind, std::string_view id) {
  if (id_kind == "none") return {};
  if (id_kind == "u64") return std::string(id);
  return nlohmann::json(id).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string csv_field(std::string_view text) {
  if (text.find_first_of(",\"\r\n") == std::string_view::npos) return std::string(text);
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + '"';
}

std::string printable(std::string_view text) {
  std::string shown(text);
  const auto is_control = [](unsigned char c) { return c < 0x20 || c == 0x7f; };
  std::replace_if(shown.begin(), shown.end(), is_control, '?');
  return shown;
}

}  // namespace simtile::tools
