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

// Dimensions [first_dim, first_dim + 16) of 16 rows, one vector for each dimension. Vectors of four rows are put
// together as they are loaded, which two ports do, where shuffles of whole vectors take one.
inline __attribute__((always_inline)) void gather_dims(const float* const (&rows)[kLanes], std::uint32_t first_dim,
                                                       __m512 (&dims)[16]) {
  // fours[r][i]: dimensions [4 i, 4 i + 4) of rows r, r + 4, r + 8 and r + 12.
  __m512 fours[4][4];
#pragma GCC unroll 4
  for (std::uint32_t r = 0; r < 4; ++r) {
    const float* a = rows[r] + first_dim;
    const float* b = rows[r + 4] + first_dim;
    const float* c = rows[r + 8] + first_dim;
    const float* d = rows[r + 12] + first_dim;
#pragma GCC unroll 4
    for (std::uint32_t i = 0; i < 4; ++i) {
      __m512 lanes = _mm512_castps128_ps512(_mm_loadu_ps(a + 4 * i));
      lanes = _mm512_mask_broadcast_f32x4(lanes, 0x00f0, _mm_loadu_ps(b + 4 * i));
      lanes = _mm512_mask_broadcast_f32x4(lanes, 0x0f00, _mm_loadu_ps(c + 4 * i));
      fours[r][i] = _mm512_mask_broadcast_f32x4(lanes, 0xf000, _mm_loadu_ps(d + 4 * i));
    }
  }
#pragma GCC unroll 4
  for (std::uint32_t i = 0; i < 4; ++i) {
    const __m512 low = _mm512_unpacklo_ps(fours[0][i], fours[1][i]);
    const __m512 high = _mm512_unpackhi_ps(fours[0][i], fours[1][i]);
    const __m512 other_low = _mm512_unpacklo_ps(fours[2][i], fours[3][i]);
    const __m512 other_high = _mm512_unpackhi_ps(fours[2][i], fours[3][i]);
    dims[4 * i] = _mm512_shuffle_ps(low, other_low, 0x44);
    dims[4 * i + 1] = _mm512_shuffle_ps(low, other_low, 0xee);
    dims[4 * i + 2] = _mm512_shuffle_ps(high, other_high, 0x44);
    dims[4 * i + 3] = _mm512_shuffle_ps(high, other_high, 0xee);
  }
}

// The last dimensions of 16 rows, fewer than 16 of them, as many as `lanes` tells.
inline __attribute__((always_inline)) void gather_last_dims(const float* const (&rows)[kLanes], std::uint32_t first_dim,
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
    __m512 of_query[16];
    __m512 of_base[16];
    std::uint32_t d = 0;
    for (; d + kLanes <= dims; d += kLanes) {
      gather_dims(query, d, of_query);
      gather_dims(base, d, of_base);
#pragma GCC unroll 16
      for (std::uint32_t i = 0; i < kLanes; ++i) score = Metric::step(of_query[i], of_base[i], score);
    }
    if (d < dims) {
      const std::uint32_t left = dims - d;
      const auto lanes = static_cast<__mmask16>((1u << left) - 1u);
      gather_last_dims(query, d, lanes, of_query);
      gather_last_dims(base, d, lanes, of_base);
      for (std::uint32_t i = 0; i < left; ++i) score = Metric::step(of_query[i], of_base[i], score);
    }
    const std::uint32_t here = count - first;
    _mm512_mask_storeu_ps(scores + first, static_cast<__mmask16>(here >= kLanes ? 0xffffu : (1u << here) - 1u), score);
  }
}

// The base rows of the pairs to come lie anywhere in the tile: they are asked for ahead.
void add_pair_products(const PairProducts& rows, const std::uint32_t* pairs, std::uint32_t count, float* scores) {
  constexpr std::uint32_t kAhead = 8;
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
