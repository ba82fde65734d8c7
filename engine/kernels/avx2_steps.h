// One step of each metric's chain, for eight pairs at once, and how its scores compare with thresholds.
// Internal linkage, as in avx2_survivors.h: for files that are compiled for AVX2.
#pragma once

#include <immintrin.h>

#include "engine/kernels/avx2_survivors.h"

namespace simtile::kernels {
namespace {

struct InnerProduct : ProductThresholds {
  static inline __attribute__((always_inline)) __m256 step(__m256 query, __m256 base, __m256 score) {
    return _mm256_fmadd_ps(query, base, score);
  }
};

struct SquaredL2ByProduct : SummedThresholds {
  static inline __attribute__((always_inline)) __m256 step(__m256 query, __m256 base, __m256 score) {
    return InnerProduct::step(query, base, score);
  }
};

struct SquaredL2 {
  static constexpr bool kComparesWithSums = false;
  static inline __attribute__((always_inline)) __m256 step(__m256 query, __m256 base, __m256 score) {
    const __m256 difference = _mm256_sub_ps(query, base);
    return _mm256_fmadd_ps(difference, difference, score);
  }
  static inline __attribute__((always_inline)) __m256 weaker(__m256 query_threshold, __m256 base_threshold) {
    return _mm256_max_ps(query_threshold, base_threshold);
  }
  static inline __attribute__((always_inline)) std::uint32_t passes(__m256 score, __m256 threshold) {
    return static_cast<std::uint32_t>(_mm256_movemask_ps(_mm256_cmp_ps(score, threshold, _CMP_LE_OQ)));
  }
  // The same of one pair.
  static inline __attribute__((always_inline)) bool passes(float score, float threshold) { return score <= threshold; }
};

}  // namespace
}  // namespace simtile::kernels
