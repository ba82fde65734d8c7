// One step of each metric's chain, for sixteen pairs at once, and how its scores compare with thresholds.
// Internal linkage, as in avx512_survivors.h: for files that are compiled for AVX-512.
#pragma once

#include <immintrin.h>

#include "engine/kernels/avx512_survivors.h"

namespace simtile::kernels {
namespace {

struct InnerProduct : ProductThresholds {
  static inline __attribute__((always_inline)) __m512 step(__m512 query, __m512 base, __m512 score) {
    return _mm512_fmadd_ps(query, base, score);
  }
};

struct SquaredL2ByProduct : SummedThresholds {
  static inline __attribute__((always_inline)) __m512 step(__m512 query, __m512 base, __m512 score) {
    return InnerProduct::step(query, base, score);
  }
};

struct SquaredL2 {
  static constexpr bool kComparesWithSums = false;
  static inline __attribute__((always_inline)) __m512 step(__m512 query, __m512 base, __m512 score) {
    const __m512 difference = _mm512_sub_ps(query, base);
    return _mm512_fmadd_ps(difference, difference, score);
  }
  static inline __attribute__((always_inline)) __m512 weaker(__m512 query_threshold, __m512 base_threshold) {
    return _mm512_max_ps(query_threshold, base_threshold);
  }
  static inline __attribute__((always_inline)) __mmask16 passes(__mmask16 among, __m512 score, __m512 threshold) {
    return _mm512_mask_cmp_ps_mask(among, score, threshold, _CMP_LE_OQ);
  }
};

}  // namespace
}  // namespace simtile::kernels
