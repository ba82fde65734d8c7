// Blocks of 14 x 32 pairs: an outer product whose 28 accumulators, two base vectors and one broadcast fill 31 of the 32
// registers; each step costs 16 loads for 28 multiply-adds, so the two ports of these, not the loads, are the limit.
// A step takes one float of each row's panel: a coordinate, or two that are rounded to half as many bits.
// Internal linkage, as in avx512_survivors.h: for files that are compiled for AVX-512.
#pragma once

#include <immintrin.h>

#include "engine/kernels/avx512_survivors.h"
#include "engine/kernels/unwatched.h"

namespace simtile::kernels {
namespace {

constexpr std::uint32_t kQueryWidth = 14;
constexpr std::uint32_t kBaseWidth = 32;
// A query panel of this many floats a row (14 x 384, 21 KiB) stays in the 32 KiB L1 while base panels stream.
constexpr std::uint32_t kStepsAtOnce = 384;

struct Block {
  __m512 score[kQueryWidth][2];
};

template <typename Metric>
inline __attribute__((always_inline)) void accumulate(const float* query, const float* base, std::uint32_t steps,
                                                      Block& block) {
  for (std::uint32_t s = 0; s < steps; ++s) {
    SIMTILE_READS(query);
    SIMTILE_READS(base);
    const __m512 base0 = _mm512_loadu_ps(base);
    const __m512 base1 = _mm512_loadu_ps(base + kLanes);
#pragma GCC unroll 14
    for (std::uint32_t q = 0; q < kQueryWidth; ++q) {
      const __m512 broadcast = _mm512_set1_ps(query[q]);
      block.score[q][0] = Metric::step(broadcast, base0, block.score[q][0]);
      block.score[q][1] = Metric::step(broadcast, base1, block.score[q][1]);
    }
    query += kQueryWidth;
    base += kBaseWidth;
  }
}

inline __attribute__((always_inline)) void load_partial(const float* partial, Block& block) {
#pragma GCC unroll 14
  for (std::uint32_t q = 0; q < kQueryWidth; ++q) {
    block.score[q][0] = partial ? _mm512_loadu_ps(partial + q * kBaseWidth) : _mm512_setzero_ps();
    block.score[q][1] = partial ? _mm512_loadu_ps(partial + q * kBaseWidth + kLanes) : _mm512_setzero_ps();
  }
}

inline __attribute__((always_inline)) void store_partial(const Block& block, float* partial) {
#pragma GCC unroll 14
  for (std::uint32_t q = 0; q < kQueryWidth; ++q) {
    _mm512_storeu_ps(partial + q * kBaseWidth, block.score[q][0]);
    _mm512_storeu_ps(partial + q * kBaseWidth + kLanes, block.score[q][1]);
  }
}

// emit_block(block, first column) gets each block of finished scores, of rows of `steps` floats.
template <typename Metric, typename Emit>
inline __attribute__((always_inline)) void for_each_block(const Strip& strip, std::uint32_t steps, Emit emit_block) {
  for (std::uint32_t begin = 0; begin < steps; begin += kStepsAtOnce) {
    const std::uint32_t count = steps - begin < kStepsAtOnce ? steps - begin : kStepsAtOnce;
    const bool last = begin + count == steps;
    const float* query = strip.query_panel + std::size_t{begin} * kQueryWidth;
    for (std::uint32_t panel = 0; panel < strip.base_panel_count; ++panel) {
      const float* base = strip.base_panels + (std::size_t{panel} * steps + begin) * kBaseWidth;
      float* partial = strip.partial_scores + std::size_t{panel} * kQueryWidth * kBaseWidth;
      Block block;
      load_partial(begin == 0 ? nullptr : partial, block);
      accumulate<Metric>(query, base, count, block);
      if (last)
        emit_block(block, panel * kBaseWidth);
      else
        store_partial(block, partial);
    }
  }
}

// The pairs that pass for one of their sides at least, a mask for each query row; returns the rows that have some.
template <typename Metric>
inline __attribute__((always_inline)) std::uint32_t find_hits(const Block& block, const Strip& strip,
                                                              std::uint32_t column,
                                                              std::uint32_t (&masks)[kQueryWidth]) {
  constexpr __mmask16 kAll = 0xffff;
  std::uint32_t rows_hit = 0;
#pragma GCC unroll 14
  for (std::uint32_t q = 0; q < kQueryWidth; ++q) {
    const Bounds bounds0 = bounds_of<Metric>(strip, q, column);
    const Bounds bounds1 = bounds_of<Metric>(strip, q, column + kLanes);
    const __mmask16 mask0 =
        Metric::passes(kAll, block.score[q][0], Metric::weaker(bounds0.for_query, bounds0.for_base));
    const __mmask16 mask1 =
        Metric::passes(kAll, block.score[q][1], Metric::weaker(bounds1.for_query, bounds1.for_base));
    masks[q] = static_cast<std::uint32_t>(mask0) | (static_cast<std::uint32_t>(mask1) << kLanes);
    rows_hit |= static_cast<std::uint32_t>(masks[q] != 0) << q;
  }
  return rows_hit & ((1u << strip.query_rows) - 1u);
}

// A screen lets many pairs through: those of a row are appended at once, for whichever side they are.
template <typename Metric>
inline __attribute__((always_inline)) void emit_either(const Block& block, const Strip& strip, std::uint32_t column,
                                                       Survivors& for_either) {
  std::uint32_t masks[kQueryWidth];
  const std::uint32_t rows_hit = find_hits<Metric>(block, strip, column, masks);
  if (rows_hit == 0) return;
  alignas(64) float scores[kQueryWidth * kBaseWidth];
  store_partial(block, scores);
  append_rows(masks, rows_hit, scores, kBaseWidth, strip, column, for_either);
}

inline __attribute__((always_inline)) void store_scores(const Block& block, const Strip& strip, float* scores,
                                                        std::size_t stride) {
#pragma GCC unroll 14
  for (std::uint32_t q = 0; q < kQueryWidth; ++q)
    if (q < strip.query_rows) {
      _mm512_storeu_ps(scores + q * stride, block.score[q][0]);
      _mm512_storeu_ps(scores + q * stride + kLanes, block.score[q][1]);
    }
}

}  // namespace
}  // namespace simtile::kernels
