// Few queries against base rows where they lie (RowStrip): bound by the speed of memory.
// Internal linkage, as in avx2_survivors.h: for files that are compiled for AVX2.
#pragma once

#include <immintrin.h>

#include "engine/kernels/avx2_steps.h"
#include "engine/kernels/avx2_survivors.h"
#include "engine/kernels/tile_kernel.h"

namespace simtile::kernels {
namespace {

// Few queries: eight base rows against a panel of 8 queries, a base value broadcast to all of them. Eight chains cover
// the latency of the multiply-add.
template <typename Metric>
inline __attribute__((always_inline)) void score_row_block(const RowStrip& strip, std::uint32_t first_row,
                                                           std::uint32_t panel, Survivors& for_queries) {
  const std::uint32_t rows =
      strip.base_row_count - first_row < kRowsAtOnce ? strip.base_row_count - first_row : kRowsAtOnce;
  // Rows beyond the last are the last one again; their scores are left out below.
  const float* base[kRowsAtOnce];
  for (std::uint32_t r = 0; r < kRowsAtOnce; ++r)
    base[r] = strip.base_rows + (first_row + (r < rows ? r : rows - 1)) * strip.base_stride;
  const float* queries = strip.query_panels + std::size_t{panel} * strip.dims * kLanes;
  __m256 score[kRowsAtOnce];
#pragma GCC unroll 8
  for (std::uint32_t r = 0; r < kRowsAtOnce; ++r) score[r] = _mm256_setzero_ps();
  for (std::uint32_t d = 0; d < strip.dims; ++d) {
    const __m256 query = _mm256_loadu_ps(queries + std::size_t{d} * kLanes);
#pragma GCC unroll 8
    for (std::uint32_t r = 0; r < kRowsAtOnce; ++r)
      score[r] = Metric::step(query, _mm256_broadcast_ss(base[r] + d), score[r]);
  }
  const __m256 thresholds = _mm256_loadu_ps(strip.query_thresholds + panel * kLanes);
  for (std::uint32_t r = 0; r < rows; ++r) {
    std::uint32_t mask = Metric::passes(score[r], thresholds);
    if (__builtin_expect(mask == 0, 1)) continue;
    alignas(32) float scores[kLanes];
    _mm256_store_ps(scores, score[r]);
    for (; mask != 0; mask &= mask - 1) {
      const auto lane = static_cast<std::uint32_t>(__builtin_ctz(mask));
      for_queries.scores[for_queries.count] = scores[lane];
      for_queries.pairs[for_queries.count++] =
          strip.first_pair + ((panel * kLanes + lane) << kQueryShift) + first_row + r;
    }
  }
}

template <typename Metric>
void score_rows(const RowStrip& strip, Survivors& for_queries) {
  for (std::uint32_t row = 0; row < strip.base_row_count; row += kRowsAtOnce)
    for (std::uint32_t panel = 0; panel < strip.query_panel_count; ++panel)
      score_row_block<Metric>(strip, row, panel, for_queries);
}

}  // namespace
}  // namespace simtile::kernels
