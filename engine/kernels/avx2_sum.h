// The sum of a vector's lanes, where sums of dimensions end. Internal linkage, as in avx2_survivors.h: for files that
// are compiled for AVX2.
#pragma once

#include <immintrin.h>

namespace simtile::kernels {
namespace {

inline __attribute__((always_inline)) float sum_of_lanes(__m256 lanes) {
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(lanes), _mm256_extractf128_ps(lanes, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

}  // namespace
}  // namespace simtile::kernels
