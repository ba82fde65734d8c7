// Neighbours as text: the JSON object that `neighbors --json` and the ndjson export share, scores to the last bit, ids
// with what JSON, CSV and a terminal need.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "simtile/types.h"

namespace simtile::tools {

// What a JSON object says about one row and its neighbours. Ids are the JSON values themselves (see json_id), and
// empty where the file has none.
struct JsonNeighbour {
  Neighbour neighbour;
  std::string id;
};
// {"row":0,"id":"a","neighbors":[{"rank":1,"row":2,"id":"c","score":0.5}]}, without a line end.
void append_json(std::string& out, std::uint64_t row, const std::string& id, std::span<const JsonNeighbour> neighbours);

// The shortest decimal form that reads back to the same float.
std::string format_score(float score);
// An id as a JSON value: a number when the file's ids are u64, else a string; empty where there are none ("none").
std::string json_id(std::string_view id_kind, std::string_view id);
// Quoted where RFC 4180 asks for it.
std::string csv_field(std::string_view text);
// Control characters as '?': an id must not steer a terminal.
std::string printable(std::string_view text);

}  // namespace simtile::tools
