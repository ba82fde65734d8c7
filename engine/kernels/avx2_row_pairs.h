// Pairs picked one by one, of rows that lie as they are: the definition's chains, eight pairs side by side, and
// products in any order, for bounds. Internal linkage, as in avx2_survivors.h: for files that are compiled for AVX2.
#pragma once

#include <immintrin.h>

#include "engine/kernels/avx2_steps.h"
#include "engine/kernels/avx2_sum.h"
#include "engine/kernels/avx2_survivors.h"
#include "engine/kernels/avx2_transpose.h"
#include "engine/kernels/tile_kernel.h"

namespace simtile::kernels {
namespace {

// 8 pairs at a time, one in each lane. Rows are turned as they are read: a chain takes one dimension after another.
template <typename Metric>
void score_row_pairs(const float* queries, const float* bases, std::uint32_t dims, const std::uint32_t* pairs,
                     std::uint32_t count, float* scores) {
  for (std::uint32_t first = 0; first < count; first += kLanes) {
    const float* query[kLanes];
    const float* base[kLanes];
    for (std::uint32_t i = 0; i < kLanes; ++i) {
      // Beyond the last pair, the last one again.
      const std::uint32_t pair = pairs[first + i < count ? first + i : count - 1];
      query[i] = queries + std::size_t{pair >> kQueryShift} * dims;
      base[i] = bases + std::size_t{pair & kColumnMask} * dims;
    }
    __m256 score = _mm256_setzero_ps();
    std::uint32_t d = 0;
    for (; d + kDimsTurned <= dims; d += kDimsTurned) {
      __m256 of_query[kDimsTurned];
      __m256 of_base[kDimsTurned];
      turn_dims(query, d, of_query);
      turn_dims(base, d, of_base);
#pragma GCC unroll 4
      for (std::uint32_t i = 0; i < kDimsTurned; ++i) score = Metric::step(of_query[i], of_base[i], score);
    }
    for (; d < dims; ++d) score = Metric::step(turn_dim(query, d), turn_dim(base, d), score);
    alignas(32) float sums[kLanes];
    _mm256_store_ps(sums, score);
    for (std::uint32_t i = 0; i < kLanes && first + i < count; ++i) scores[first + i] = sums[i];
  }
}

inline __attribute__((always_inline)) float product_of_rows(const float* query, const float* base, std::uint32_t dims) {
  constexpr std::uint32_t kSums = 4;
  __m256 sums[kSums];
#pragma GCC unroll 4
  for (std::uint32_t i = 0; i < kSums; ++i) sums[i] = _mm256_setzero_ps();
  std::uint32_t d = 0;
  for (; d + kSums * kLanes <= dims; d += kSums * kLanes)
#pragma GCC unroll 4
    for (std::uint32_t i = 0; i < kSums; ++i)
      sums[i] =
          _mm256_fmadd_ps(_mm256_loadu_ps(query + d + i * kLanes), _mm256_loadu_ps(base + d + i * kLanes), sums[i]);
  for (; d + kLanes <= dims; d += kLanes)
    sums[0] = _mm256_fmadd_ps(_mm256_loadu_ps(query + d), _mm256_loadu_ps(base + d), sums[0]);
  float sum = sum_of_lanes(_mm256_add_ps(_mm256_add_ps(sums[0], sums[1]), _mm256_add_ps(sums[2], sums[3])));
  for (; d < dims; ++d) sum = __builtin_fmaf(query[d], base[d], sum);
  return sum;
}

// The base rows of the pairs to come lie anywhere in the tile: they are asked for ahead.
void add_pair_products(const PairProducts& rows, const std::uint32_t* pairs, std::uint32_t count, float* scores) {
  constexpr std::uint32_t kAhead = 4;
  constexpr std::uint32_t kFloatsOfLine = 16;
  constexpr std::uint32_t kLinesAhead = 10;
  for (std::uint32_t i = 0; i < count; ++i) {
    if (i + kAhead < count) {
      const float* next = rows.bases + (pairs[i + kAhead] & kColumnMask) * rows.base_stride;
      for (std::uint32_t d = 0; d < rows.dims && d < kLinesAhead * kFloatsOfLine; d += kFloatsOfLine)
        _mm_prefetch(reinterpret_cast<const char*>(next + d), _MM_HINT_T0);
    }
    const std::uint32_t b = pairs[i] & kColumnMask;
    scores[i] += rows.factors[b] * product_of_rows(rows.queries + (pairs[i] >> kQueryShift) * rows.query_stride,
                                                   rows.bases + b * rows.base_stride, rows.dims);
  }
}

}  // namespace
}  // namespace simtile::kernels
