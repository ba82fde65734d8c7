// Few queries against base rows where they lie (RowStrip): bound by the speed of memory.
// Internal linkage, as in avx512_survivors.h: for files that are compiled for AVX-512.
#pragma once

#include <immintrin.h>

#include "engine/kernels/avx512_steps.h"
#include "engine/kernels/avx512_survivors.h"
#include "engine/kernels/tile_kernel.h"

namespace simtile::kernels {
namespace {

// Few queries: eight base rows against one or two panels of 16 queries, a base value broadcast to all of them. Eight
// chains of two vectors, or of one, cover the latency of the multiply-add.
template <typename Metric, std::uint32_t kPanels>
inline __attribute__((always_inline)) void score_row_block(const RowStrip& strip, std::uint32_t first_row,
                                                           std::uint32_t first_panel, Survivors& for_queries) {
  const std::uint32_t rows =
      strip.base_row_count - first_row < kRowsAtOnce ? strip.base_row_count - first_row : kRowsAtOnce;
  // Rows beyond the last are the last one again; their scores are left out below.
  const float* base[kRowsAtOnce];
  for (std::uint32_t r = 0; r < kRowsAtOnce; ++r)
    base[r] = strip.base_rows + (first_row + (r < rows ? r : rows - 1)) * strip.base_stride;
  const std::size_t panel_floats = std::size_t{strip.dims} * kLanes;
  const float* queries = strip.query_panels + first_panel * panel_floats;
  __m512 score[kRowsAtOnce][kPanels];
#pragma GCC unroll 8
  for (std::uint32_t r = 0; r < kRowsAtOnce; ++r)
#pragma GCC unroll 2
    for (std::uint32_t p = 0; p < kPanels; ++p) score[r][p] = _mm512_setzero_ps();
  for (std::uint32_t d = 0; d < strip.dims; ++d) {
    __m512 query[kPanels];
#pragma GCC unroll 2
    for (std::uint32_t p = 0; p < kPanels; ++p)
      query[p] = _mm512_loadu_ps(queries + p * panel_floats + std::size_t{d} * kLanes);
#pragma GCC unroll 8
    for (std::uint32_t r = 0; r < kRowsAtOnce; ++r) {
      const __m512 broadcast = _mm512_set1_ps(base[r][d]);
#pragma GCC unroll 2
      for (std::uint32_t p = 0; p < kPanels; ++p) score[r][p] = Metric::step(query[p], broadcast, score[r][p]);
    }
  }
  const __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  for (std::uint32_t r = 0; r < rows; ++r)
#pragma GCC unroll 2
    for (std::uint32_t p = 0; p < kPanels; ++p) {
      const std::uint32_t first_query = (first_panel + p) * kLanes;
      const __m512 thresholds = _mm512_loadu_ps(strip.query_thresholds + first_query);
      const __mmask16 mask = Metric::passes(0xffff, score[r][p], thresholds);
      if (__builtin_expect(mask == 0, 1)) continue;
      const std::uint32_t first_pair = strip.first_pair + (first_query << kQueryShift) + first_row + r;
      const __m512i pairs =
          _mm512_add_epi32(_mm512_set1_epi32(static_cast<int>(first_pair)), _mm512_slli_epi32(lane, kQueryShift));
      append(mask, score[r][p], pairs, for_queries);
    }
}

template <typename Metric>
void score_rows(const RowStrip& strip, Survivors& for_queries) {
  for (std::uint32_t row = 0; row < strip.base_row_count; row += kRowsAtOnce) {
    std::uint32_t panel = 0;
    for (; panel + 2 <= strip.query_panel_count; panel += 2) score_row_block<Metric, 2>(strip, row, panel, for_queries);
    if (panel < strip.query_panel_count) score_row_block<Metric, 1>(strip, row, panel, for_queries);
  }
}

}  // namespace
}  // namespace simtile::kernels
