// The JSON of answers. The same request to the same version of an index gives the same bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "simtile/searcher.h"
#include "tools/serve/search_request.h"
#include "tools/serve/served_index.h"

namespace simtile::tools::serve {

// Of a request whose queries are results[first] and what follows.
std::string search_answer(const std::string& index, const IndexVersion& version, const SearchRequest& request,
                          const SearchResults& results, std::size_t first);

// Of a row of the neighbours file, which the version has: its `top_k` best.
std::string neighbours_answer(const std::string& index, const IndexVersion& version, std::uint64_t row,
                              std::uint64_t top_k);

// What GET /v1/indexes says of one.
std::string index_description(const std::string& name, const IndexVersion& version);

}  // namespace simtile::tools::serve
