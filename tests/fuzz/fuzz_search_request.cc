// Bodies of search requests, and targets: parsed as the server does. What is refused names a status below 500; what is
// taken keeps to the limits. A few refusals are written as responses, which takes longer than all else.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "tests/fuzz/in_memory.h"
#include "tools/serve/search_request.h"
#include "tools/serve/url.h"

namespace simtile::fuzz {
namespace {

using namespace tools::serve;

constexpr std::uint64_t kColumns = 3;

void check(const std::variant<SearchRequest, Problem>& parsed, const Limits& limits, bool write) {
  if (const auto* problem = std::get_if<Problem>(&parsed)) {
    if (problem->status < 400 || problem->status >= 500 || problem->message.empty()) std::abort();
    if (write && to_response(*problem).body.empty()) std::abort();
    return;
  }
  const auto& request = std::get<SearchRequest>(parsed);
  const std::uint64_t queries = request.queries(kColumns);
  const bool within = queries >= 1 && queries <= limits.batch_queries && request.top_k >= 1 &&
                      request.top_k <= limits.top_k && request.exclude_ids.size() <= limits.excluded_ids &&
                      request.timeout_ms <= limits.largest_timeout_ms && request.vectors.size() % kColumns == 0;
  if (!within) std::abort();
  for (const float value : request.vectors)
    if (!std::isfinite(value)) std::abort();
}

}  // namespace
}  // namespace simtile::fuzz

// The first byte says as what the others come: JSON, or a binary body behind the query of its target and a newline.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace simtile::fuzz;
  static SearchRequestParser parser;
  static const Limits limits{.top_k = 50, .batch_queries = 6, .excluded_ids = 4};
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  const bool write = goes_further(data, size);
  if ((data[0] & 1) == 0) {
    check(parser.parse_json(text, kColumns, limits), limits, write);
    return 0;
  }
  const std::size_t line = std::min(text.find('\n'), text.size());
  (void)parse_target(text.substr(0, line));
  check(parser.parse_binary(text.substr(std::min(text.size(), line + 1)), text.substr(0, line), kColumns, limits),
        limits, write);
  return 0;
}
