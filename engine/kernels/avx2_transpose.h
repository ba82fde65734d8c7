// Eight rows by four dimensions, turned as they are read: for panels, and for chains that take a dimension at a time.
// Internal linkage, as in avx2_survivors.h: for files that are compiled for AVX2.
#pragma once

#include <immintrin.h>

#include "engine/kernels/avx2_survivors.h"

namespace simtile::kernels {
namespace {

constexpr std::uint32_t kDimsTurned = 4;

// Dimensions [first_dim, first_dim + 4) of 8 rows, one vector for each dimension. Vectors of two rows are put together
// as they are loaded, which leaves no shuffle across halves to do.
inline __attribute__((always_inline)) void turn_dims(const float* const (&rows)[kLanes], std::uint32_t first_dim,
                                                     __m256 (&dims)[kDimsTurned]) {
  __m256 fours[4];  // of rows r and r + 4
#pragma GCC unroll 4
  for (std::uint32_t r = 0; r < 4; ++r)
    fours[r] = _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(rows[r] + first_dim)),
                                    _mm_loadu_ps(rows[r + 4] + first_dim), 1);
  const __m256 low = _mm256_unpacklo_ps(fours[0], fours[1]);
  const __m256 high = _mm256_unpackhi_ps(fours[0], fours[1]);
  const __m256 other_low = _mm256_unpacklo_ps(fours[2], fours[3]);
  const __m256 other_high = _mm256_unpackhi_ps(fours[2], fours[3]);
  dims[0] = _mm256_shuffle_ps(low, other_low, 0x44);
  dims[1] = _mm256_shuffle_ps(low, other_low, 0xee);
  dims[2] = _mm256_shuffle_ps(high, other_high, 0x44);
  dims[3] = _mm256_shuffle_ps(high, other_high, 0xee);
}

// One dimension of 8 rows.
inline __attribute__((always_inline)) __m256 turn_dim(const float* const (&rows)[kLanes], std::uint32_t d) {
  return _mm256_setr_ps(rows[0][d], rows[1][d], rows[2][d], rows[3][d], rows[4][d], rows[5][d], rows[6][d], rows[7][d]);
}

}  // namespace
}  // namespace simtile::kernels
