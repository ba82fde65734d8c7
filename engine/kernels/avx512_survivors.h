// Comparing scores with thresholds, and compressing out what survives: shared by the files that are compiled for
// AVX-512. All is of internal linkage, as in the files themselves: none of their code may be merged with another's.
#pragma once

#include <immintrin.h>

#include "engine/kernels/tile_kernel.h"

namespace simtile::kernels {
namespace {

constexpr std::uint32_t kLanes = 16;

struct ProductThresholds {
  static constexpr bool kComparesWithSums = false;
  // NaN when the base threshold is.
  static inline __attribute__((always_inline)) __m512 weaker(__m512 query_threshold, __m512 base_threshold) {
    return _mm512_min_ps(query_threshold, base_threshold);
  }
  static inline __attribute__((always_inline)) __mmask16 passes(__mmask16 among, __m512 score, __m512 threshold) {
    return _mm512_mask_cmp_ps_mask(among, score, threshold, _CMP_GE_OQ);
  }
};

// The product's scores, compared with sums of the two rows' parts (join/l2_margin.h).
struct SummedThresholds : ProductThresholds {
  static constexpr bool kComparesWithSums = true;
};

inline __attribute__((always_inline)) void append(__mmask16 mask, __m512 scores, __m512i pairs, Survivors& survivors) {
  // Whole-register stores of the compressed lanes: the survivor arrays have kSurvivorSlack behind them.
  _mm512_storeu_ps(survivors.scores + survivors.count, _mm512_maskz_compress_ps(mask, scores));
  _mm512_storeu_si512(survivors.pairs + survivors.count, _mm512_maskz_compress_epi32(mask, pairs));
  survivors.count += static_cast<std::uint32_t>(__builtin_popcount(mask));
}

// What the 16 pairs of a query row and the base rows from `column` on compare their scores with, for either side.
struct Bounds {
  __m512 for_query, for_base;
};

template <typename Metric>
inline __attribute__((always_inline)) Bounds bounds_of(const Strip& strip, std::uint32_t q, std::uint32_t column) {
  const __m512 query = _mm512_set1_ps(strip.query_thresholds[q]);
  const __m512 base = _mm512_loadu_ps(strip.base_thresholds + column);
  if constexpr (Metric::kComparesWithSums)
    return {_mm512_add_ps(query, _mm512_loadu_ps(strip.base_offsets + column)),
            _mm512_add_ps(_mm512_set1_ps(strip.query_offsets[q]), base)};
  return {query, base};
}

// The numbers of those pairs.
inline __attribute__((always_inline)) __m512i pair_numbers(const Strip& strip, std::uint32_t q, std::uint32_t column) {
  const __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  return _mm512_add_epi32(_mm512_set1_epi32(static_cast<int>(strip.first_pair + (q << kQueryShift) + column)), lane);
}

// Appends the pairs of the rows in `rows_hit`: of row q those in masks[q], whose scores begin at q * stride.
inline __attribute__((always_inline)) void append_rows(const std::uint32_t* masks, std::uint32_t rows_hit,
                                                       const float* scores, std::size_t stride, const Strip& strip,
                                                       std::uint32_t column, Survivors& survivors) {
  for (; rows_hit != 0; rows_hit &= rows_hit - 1) {
    const auto q = static_cast<std::uint32_t>(__builtin_ctz(rows_hit));
#pragma GCC unroll 2
    for (std::uint32_t half = 0; half < 2; ++half)
      append(static_cast<__mmask16>(masks[q] >> (half * kLanes)), _mm512_load_ps(scores + q * stride + half * kLanes),
             pair_numbers(strip, q, column + half * kLanes), survivors);
  }
}

}  // namespace
}  // namespace simtile::kernels
