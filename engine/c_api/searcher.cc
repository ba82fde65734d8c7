// The C ABI's searches of a mapped matrix.
#include "simtile/searcher.h"

#include <limits>

#include "engine/base/checked.h"
#include "engine/c_api/guarded.h"

struct simtile_searcher {
  simtile::Searcher searcher;
};

namespace simtile::c_api {
namespace {

simtile_query_options default_query_options() {
  simtile_query_options options{};
  options.size = sizeof options;
  options.top_k = 10;
  options.metric = SIMTILE_COSINE;
  return options;
}

SearchOptions search_options_of(const simtile_query_options& given) {
  require(given.metric >= SIMTILE_COSINE && given.metric <= SIMTILE_L2,
          "a metric that is none of SIMTILE_COSINE, SIMTILE_INNER_PRODUCT and SIMTILE_L2");
  require(given.exclude_count == 0 || given.exclude_rows != nullptr,
          "exclude_rows is NULL, and exclude_count is not 0");
  SearchOptions options;
  options.top_k = given.top_k;
  options.metric = static_cast<Metric>(given.metric);
  if (given.has_min_score != 0) options.min_score = given.min_score;
  options.exclude_rows = {given.exclude_rows, static_cast<std::size_t>(given.exclude_count)};
  return options;
}

void copy_results(const SearchResults& results, std::uint64_t top_k, std::uint64_t* rows, float* scores) {
  for (std::uint64_t query = 0; query < results.queries(); ++query) {
    const std::span<const Neighbour> found = results[query];
    for (std::uint64_t rank = 0; rank < top_k; ++rank, ++rows, ++scores) {
      *rows = rank < found.size() ? found[rank].row : kNoRow;
      *scores = rank < found.size() ? found[rank].score : std::numeric_limits<float>::quiet_NaN();
    }
  }
}

}  // namespace
}  // namespace simtile::c_api

using namespace simtile::c_api;

void simtile_query_options_init(simtile_query_options* options, size_t size) {
  init(options, size, default_query_options());
}

simtile_status simtile_searcher_open(const char* matrix_path, uint32_t threads, simtile_searcher** searcher) {
  return guarded([&] {
    require(matrix_path != nullptr && searcher != nullptr, "simtile_searcher_open: a pointer is NULL");
    *searcher = new simtile_searcher{simtile::Searcher(matrix_path, {.threads = threads})};
  });
}

void simtile_searcher_close(simtile_searcher* searcher) { delete searcher; }

simtile_status simtile_searcher_search(const simtile_searcher* searcher, const float* queries, uint64_t count,
                                       const simtile_query_options* options, uint64_t* rows, float* scores) {
  return guarded([&] {
    require(searcher != nullptr && queries != nullptr && rows != nullptr && scores != nullptr,
            "simtile_searcher_search: a pointer is NULL");
    const simtile::SearchOptions search = search_options_of(options_of(options, default_query_options()));
    const std::uint64_t values = simtile::checked_multiply(count, searcher->searcher.columns(),
                                                           simtile::ErrorCode::kInvalidArgument, "the queries");
    copy_results(searcher->searcher.search({queries, static_cast<std::size_t>(values)}, search), search.top_k, rows,
                 scores);
  });
}

simtile_status simtile_searcher_reload(simtile_searcher* searcher, int* swapped) {
  return guarded([&] {
    require(searcher != nullptr, "the handle is NULL");
    const bool has_swapped = searcher->searcher.reload();
    if (swapped != nullptr) *swapped = has_swapped;
  });
}
