// One pass over a dense base for some queries at once: the compute of a Searcher.
//
// The base is cut into chunks that stay in a core's cache, and oneTBB's threads take them. Up to kFewQueries queries
// meet rows where they lie, bound by the speed of memory: a first look leaves few pairs to the definition
// (screen/few_query_look.h), which scores all of them before bounds are known (kernels::RowStrip). More are scored as
// the join's tiles are: a chunk is packed into panels, and the queries' panels stream past it. Scores that survive
// their query's threshold go to the thread's own lists; the bounds are shared, so that what one thread finds spares the
// others work.
//
// Everything that a pass needs is in a DenseScan, which is used again: once it has grown, a pass allocates nothing.
//
// Threads: a DenseScan runs one pass at a time, in the arena that run() is called from.
#pragma once

#include <oneapi/tbb/cache_aligned_allocator.h>

#include <cstdint>
#include <span>
#include <vector>

#include "engine/kernels/tile_kernel.h"
#include "engine/screen/few_query_look.h"
#include "engine/screen/look_pace.h"
#include "engine/search/base_rows.h"
#include "engine/search/top_k_lists.h"
#include "simtile/searcher.h"

namespace simtile::search {

inline constexpr std::size_t kFewQueries = 64;
// A pass takes no more: survivors are numbered by 16 bits of query.
inline constexpr std::size_t kMostQueries = 4096;

template <typename T>
using AlignedVector = std::vector<T, oneapi::tbb::cache_aligned_allocator<T>>;

class DenseScan {
 public:
  // `slots`: threads of the arena.
  DenseScan(const kernels::TileKernel& kernel, std::uint32_t slots)
      : kernel_(&kernel), threads_(slots), look_(kernel) {}

  // Appends each query's neighbours to the results. Throws what BaseRows::view() throws.
  void run(const BaseRows& base, std::span<const SearchQuery> queries, Metric metric, SearchResults& results);

 private:
  struct Thread {
    TopKLists lists;
    AlignedVector<float> rows;    // decoded; of few queries, the room for a first look too
    std::vector<double> factors;  // few queries: of base rows
    screen::LookPace look_pace;
    AlignedVector<float> panels;  // many queries: the chunk's
    AlignedVector<float> partial_scores;
    AlignedVector<float> query_thresholds;
    AlignedVector<float> base_thresholds;
    std::vector<float> survivor_scores;
    std::vector<std::uint32_t> survivor_pairs;
    kernels::Survivors survivors{};
    kernels::Survivors
        for_bases{};  // what base rows would keep: nothing is meant to be, infinities come and are dropped
  };

  void take_queries(const BaseRows& base, std::span<const SearchQuery> queries);
  void make_room(const BaseRows& base, Thread& thread) const;
  void score_few(const BaseRows& base, std::uint64_t first, std::uint64_t rows, Thread& thread);
  void look_at_rows(const BaseRows& base, std::uint64_t first, std::uint64_t rows, Thread& thread);
  void score_rows_where_they_lie(const BaseRows& base, std::uint64_t first, std::uint64_t rows, Thread& thread);
  void score_many(const BaseRows& base, std::uint64_t first, std::uint64_t rows, Thread& thread);
  float threshold(std::size_t query, std::uint64_t first_row) const noexcept;
  void drain(std::uint64_t first_row, Thread& thread);
  bool is_excluded(std::size_t query, std::uint64_t row) const noexcept;
  void gather(SearchResults& results);

  const kernels::TileKernel* kernel_;
  std::vector<Thread> threads_;  // by arena slot

  // This pass.
  Metric metric_ = Metric::kCosine;
  bool larger_better_ = true;
  bool few_ = true;
  std::size_t queries_ = 0;
  std::uint64_t chunk_rows_ = 0;
  screen::FewQueryLook look_;  // few queries
  AlignedVector<float> query_rows_;
  std::vector<std::int16_t> integer_query_rows_;  // few queries: room for their look
  AlignedVector<float> query_panels_;
  std::vector<std::uint64_t> top_k_;
  std::vector<std::uint64_t> excluded_;  // each query's, sorted, one after the other
  std::vector<std::size_t> excluded_ends_;
  SharedBounds bounds_;
  std::vector<topk::Key> gathered_;
};

}  // namespace simtile::search
