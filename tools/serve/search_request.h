// Reads the body of a search request. A pure function of its bytes: tests/fuzz/fuzz_search_request.cc feeds it.
//
// Threads: a SearchRequestParser belongs to one thread at a time; it keeps its room from request to request.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "simtile/types.h"
#include "tools/serve/problem.h"
#include "tools/serve/serve_options.h"

namespace simtile::tools::serve {

struct SearchRequest {
  std::vector<float> vectors;    // of all queries, one after the other; or
  std::vector<std::string> ids;  // rows of the base to search with
  std::vector<std::string> exclude_ids;
  std::uint64_t top_k = 10;
  Metric metric = Metric::kCosine;
  std::optional<float> min_score;
  bool exclude_self = true;  // with ids: a row is not its own neighbour
  bool include_vectors = false;
  std::uint64_t timeout_ms = 0;

  std::uint64_t queries(std::uint64_t columns) const noexcept {
    return ids.empty() ? vectors.size() / columns : ids.size();
  }
};

class SearchRequestParser {
 public:
  SearchRequestParser();
  SearchRequestParser(SearchRequestParser&&) noexcept;
  ~SearchRequestParser();

  // `columns` of the index. A JSON body; vectors are arrays of numbers, or "vectors_base64": little-endian f32.
  std::variant<SearchRequest, Problem> parse_json(std::string_view body, std::uint64_t columns, const Limits& limits);
  // A body of little-endian f32; the rest comes as parameters in the target's query.
  std::variant<SearchRequest, Problem> parse_binary(std::string_view body, std::string_view query,
                                                    std::uint64_t columns, const Limits& limits);

 private:
  struct Json;
  std::unique_ptr<Json> json_;
};

}  // namespace simtile::tools::serve
