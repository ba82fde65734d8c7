// Pairs picked one by one, of rows that lie as they are: the definition's chains, sixteen pairs side by side, and
// products in any order, for bounds. Internal linkage, as in avx512_survivors.h: for files that are compiled for
// AVX-512.
#pragma once

#include <immintrin.h>

#include "engine/kernels/avx512_steps.h"
#include "engine/kernels/avx512_survivors.h"
#include "engine/kernels/avx512_transpose.h"
#include "engine/kernels/tile_kernel.h"

namespace simtile::kernels {
namespace {

inline __attribute__((always_inline)) float product_of_rows(const float* query, const float* base, std::uint32_t dims) {
  __m512 even = _mm512_setzero_ps();
  __m512 odd = _mm512_setzero_ps();
  std::uint32_t d = 0;
  for (; d + 2 * kLanes <= dims; d += 2 * kLanes) {
    even = _mm512_fmadd_ps(_mm512_loadu_ps(query + d), _mm512_loadu_ps(base + d), even);
    odd = _mm512_fmadd_ps(_mm512_loadu_ps(query + d + kLanes), _mm512_loadu_ps(base + d + kLanes), odd);
  }
  for (; d < dims; d += kLanes) {
    const auto lanes = static_cast<__mmask16>(dims - d >= kLanes ? 0xffffu : (1u << (dims - d)) - 1u);
    even = _mm512_fmadd_ps(_mm512_maskz_loadu_ps(lanes, query + d), _mm512_maskz_loadu_ps(lanes, base + d), even);
  }
  return _mm512_reduce_add_ps(_mm512_add_ps(even, odd));
}

// Dimensions [first_dim, first_dim + 16) of 16 rows, as many as `lanes` tells, one vector for each dimension.
inline __attribute__((always_inline)) void gather_dims(const float* const (&rows)[kLanes], std::uint32_t first_dim,
                                                       __mmask16 lanes, __m512 (&dims)[16]) {
  __m512 values[16];
#pragma GCC unroll 16
  for (std::uint32_t i = 0; i < kLanes; ++i) values[i] = _mm512_maskz_loadu_ps(lanes, rows[i] + first_dim);
  transpose16(values, dims);
}

// 16 pairs at a time, one in each lane. Rows are transposed as they are read: a chain takes one dimension after
// another.
template <typename Metric>
void score_row_pairs(const float* queries, const float* bases, std::uint32_t dims, const std::uint32_t* pairs,
                     std::uint32_t count, float* scores) {
  constexpr std::uint32_t kColumnMask = (1u << kQueryShift) - 1;
  for (std::uint32_t first = 0; first < count; first += kLanes) {
    const float* query[kLanes];
    const float* base[kLanes];
    for (std::uint32_t i = 0; i < kLanes; ++i) {
      // Beyond the last pair, the last one again.
      const std::uint32_t pair = pairs[first + i < count ? first + i : count - 1];
      query[i] = queries + std::size_t{pair >> kQueryShift} * dims;
      base[i] = bases + std::size_t{pair & kColumnMask} * dims;
    }
    __m512 score = _mm512_setzero_ps();
    for (std::uint32_t d = 0; d < dims; d += kLanes) {
      const std::uint32_t left = dims - d;
      const auto lanes = static_cast<__mmask16>(left >= kLanes ? 0xffffu : (1u << left) - 1u);
      __m512 of_query[16];
      __m512 of_base[16];
      gather_dims(query, d, lanes, of_query);
      gather_dims(base, d, lanes, of_base);
      if (left >= kLanes) {
#pragma GCC unroll 16
        for (std::uint32_t i = 0; i < kLanes; ++i) score = Metric::step(of_query[i], of_base[i], score);
      } else {
        for (std::uint32_t i = 0; i < left; ++i) score = Metric::step(of_query[i], of_base[i], score);
      }
    }
    const std::uint32_t here = count - first;
    _mm512_mask_storeu_ps(scores + first, static_cast<__mmask16>(here >= kLanes ? 0xffffu : (1u << here) - 1u), score);
  }
}

// The base rows of the pairs to come lie anywhere in the tile: they are asked for ahead.
void add_pair_products(const PairProducts& rows, const std::uint32_t* pairs, std::uint32_t count, float* scores) {
  constexpr std::uint32_t kAhead = 8;
  constexpr std::uint32_t kColumnMask = (1u << kQueryShift) - 1;
  for (std::uint32_t i = 0; i < count; ++i) {
    if (i + kAhead < count) {
      const float* next = rows.bases + (pairs[i + kAhead] & kColumnMask) * rows.base_stride;
      for (std::uint32_t d = 0; d < rows.dims && d < 8 * kLanes; d += kLanes) _mm_prefetch(next + d, _MM_HINT_T0);
    }
    const std::uint32_t b = pairs[i] & kColumnMask;
    scores[i] += rows.factors[b] * product_of_rows(rows.queries + (pairs[i] >> kQueryShift) * rows.query_stride,
                                                   rows.bases + b * rows.base_stride, rows.dims);
  }
}

}  // namespace
}  // namespace simtile::kernels
