// AVX2 and FMA: a 6 x 16 outer product. Twelve accumulators, two base vectors and one broadcast fill 15 of the 16
// registers. Nothing from the standard library may be instantiated here: this file's flags must not leak into shared
// inline code.
#include <immintrin.h>

#include "engine/kernels/avx2_few_queries.h"
#include "engine/kernels/avx2_keys.h"
#include "engine/kernels/avx2_row_pairs.h"
#include "engine/kernels/avx2_steps.h"
#include "engine/kernels/avx2_survivors.h"
#include "engine/kernels/avx2_transpose.h"
#include "engine/kernels/prune_keys.h"
#include "engine/kernels/rescore_pairs.h"
#include "engine/kernels/sparse_chain.h"
#include "engine/kernels/tile_kernel.h"
#include "engine/kernels/unwatched.h"

namespace simtile::kernels {
namespace {

constexpr std::uint32_t kQueryWidth = 6;
constexpr std::uint32_t kBaseWidth = 16;
// A query panel of this many dimensions (6 x 768 floats, 18 KiB) stays in the 32 KiB L1 while base panels stream.
constexpr std::uint32_t kDimsBlock = 768;

struct PanelWidths {
  static constexpr std::uint32_t kQuery = kQueryWidth;
  static constexpr std::uint32_t kBase = kBaseWidth;
};
struct Block {
  __m256 score[kQueryWidth][2];
};

template <typename Metric>
inline __attribute__((always_inline)) void accumulate(const float* query, const float* base, std::uint32_t dims,
                                                      Block& block) {
  for (std::uint32_t d = 0; d < dims; ++d) {
    SIMTILE_READS(query);
    SIMTILE_READS(base);
    const __m256 base0 = _mm256_loadu_ps(base);
    const __m256 base1 = _mm256_loadu_ps(base + kLanes);
#pragma GCC unroll 6
    for (std::uint32_t q = 0; q < kQueryWidth; ++q) {
      const __m256 broadcast = _mm256_broadcast_ss(query + q);
      block.score[q][0] = Metric::step(broadcast, base0, block.score[q][0]);
      block.score[q][1] = Metric::step(broadcast, base1, block.score[q][1]);
    }
    query += kQueryWidth;
    base += kBaseWidth;
  }
}

inline __attribute__((always_inline)) void load_partial(const float* partial, Block& block) {
#pragma GCC unroll 6
  for (std::uint32_t q = 0; q < kQueryWidth; ++q) {
    block.score[q][0] = partial ? _mm256_loadu_ps(partial + q * kBaseWidth) : _mm256_setzero_ps();
    block.score[q][1] = partial ? _mm256_loadu_ps(partial + q * kBaseWidth + kLanes) : _mm256_setzero_ps();
  }
}

inline __attribute__((always_inline)) void store_partial(const Block& block, float* partial) {
#pragma GCC unroll 6
  for (std::uint32_t q = 0; q < kQueryWidth; ++q) {
    _mm256_storeu_ps(partial + q * kBaseWidth, block.score[q][0]);
    _mm256_storeu_ps(partial + q * kBaseWidth + kLanes, block.score[q][1]);
  }
}

// The lanes of a block's row that pass, a bit each.
template <typename Metric>
inline __attribute__((always_inline)) std::uint32_t row_passes(const __m256 (&score)[2], __m256 threshold0,
                                                               __m256 threshold1) {
  return Metric::passes(score[0], threshold0) | (Metric::passes(score[1], threshold1) << kLanes);
}

// Those for either side: one comparison with the weaker bound of each pair tells.
template <typename Metric>
inline __attribute__((always_inline)) std::uint32_t row_hits(const Block& block, const Strip& strip, std::uint32_t q,
                                                             std::uint32_t column) {
  const Bounds bounds0 = bounds_of<Metric>(strip, q, column);
  const Bounds bounds1 = bounds_of<Metric>(strip, q, column + kLanes);
  return row_passes<Metric>(block.score[q], Metric::weaker(bounds0.for_query, bounds0.for_base),
                            Metric::weaker(bounds1.for_query, bounds1.for_base));
}

// The pairs of a block that pass for either side, in two words: a bit each, kRowsOfWord rows of 16 in the first.
constexpr std::uint32_t kRowsOfWord = 64 / kBaseWidth;
struct Hits {
  std::uint64_t words[2] = {0, 0};
};

template <typename Metric>
inline __attribute__((always_inline)) Hits block_hits(const Block& block, const Strip& strip, std::uint32_t column) {
  Hits hits;
#pragma GCC unroll 6
  for (std::uint32_t q = 0; q < kQueryWidth; ++q) {
    const std::uint64_t row = q < strip.query_rows ? row_hits<Metric>(block, strip, q, column) : 0;
    hits.words[q / kRowsOfWord] |= row << (q % kRowsOfWord * kBaseWidth);
  }
  return hits;
}

// Most blocks of many dimensions hold no survivor; of few, most hold some. In which rows, and for which side, cannot be
// foretold: branches for those would be mispredicted more often than one loop over all.
template <typename Metric>
inline __attribute__((always_inline)) void emit(const Block& block, const Strip& strip, std::uint32_t column,
                                                Survivors& for_queries, Survivors& for_bases) {
  const Hits hits = block_hits<Metric>(block, strip, column);
  if (__builtin_expect((hits.words[0] | hits.words[1]) == 0, 1)) return;
  alignas(32) float scores[kQueryWidth * kBaseWidth];
  store_partial(block, scores);
#pragma GCC unroll 2
  for (std::uint32_t w = 0; w < 2; ++w)
    append_by_side<Metric>(hits.words[w], scores + w * 64, strip, w * kRowsOfWord, column, for_queries, for_bases);
}

// A screen lets many pairs through, for whichever side they are.
template <typename Metric>
inline __attribute__((always_inline)) void emit_either(const Block& block, const Strip& strip, std::uint32_t column,
                                                       Survivors& for_either) {
  const Hits hits = block_hits<Metric>(block, strip, column);
  if ((hits.words[0] | hits.words[1]) == 0) return;
  alignas(32) float scores[kQueryWidth * kBaseWidth];
  store_partial(block, scores);
  const std::uint32_t first_pair = strip.first_pair + column;
#pragma GCC unroll 2
  for (std::uint32_t w = 0; w < 2; ++w)
    append(hits.words[w], scores + w * 64, first_pair + (w * kRowsOfWord << kQueryShift), for_either);
}

// Whether some pair passes with its products in one more dimension.
template <typename Metric>
inline __attribute__((always_inline)) bool some_pass(const Block& block, const Strip& strip, const float* query,
                                                     const float* base, std::uint32_t column) {
  const __m256 base0 = _mm256_loadu_ps(base);
  const __m256 base1 = _mm256_loadu_ps(base + kLanes);
  __m256 any = _mm256_setzero_ps();
#pragma GCC unroll 6
  for (std::uint32_t q = 0; q < kQueryWidth; ++q) {
    const __m256 broadcast = _mm256_broadcast_ss(query + q);
    const Bounds bounds0 = bounds_of<Metric>(strip, q, column);
    const Bounds bounds1 = bounds_of<Metric>(strip, q, column + kLanes);
    any = _mm256_or_ps(any, _mm256_cmp_ps(Metric::step(broadcast, base0, block.score[q][0]),
                                          Metric::weaker(bounds0.for_query, bounds0.for_base), _CMP_GE_OQ));
    any = _mm256_or_ps(any, _mm256_cmp_ps(Metric::step(broadcast, base1, block.score[q][1]),
                                          Metric::weaker(bounds1.for_query, bounds1.for_base), _CMP_GE_OQ));
  }
  return _mm256_movemask_ps(any) != 0;
}

// emit(block, first column) gets each block of finished scores.
template <typename Metric, typename Emit>
inline __attribute__((always_inline)) void for_each_block(const Strip& strip, Emit emit_block) {
  for (std::uint32_t begin = 0; begin < strip.dims; begin += kDimsBlock) {
    const std::uint32_t dims = strip.dims - begin < kDimsBlock ? strip.dims - begin : kDimsBlock;
    const bool last = begin + dims == strip.dims;
    const float* query = strip.query_panel + std::size_t{begin} * kQueryWidth;
    for (std::uint32_t panel = 0; panel < strip.base_panel_count; ++panel) {
      const float* base = strip.base_panels + (std::size_t{panel} * strip.dims + begin) * kBaseWidth;
      float* partial = strip.partial_scores + std::size_t{panel} * kQueryWidth * kBaseWidth;
      Block block;
      load_partial(begin == 0 ? nullptr : partial, block);
      accumulate<Metric>(query, base, dims, block);
      if (last)
        emit_block(block, panel * kBaseWidth);
      else
        store_partial(block, partial);
    }
  }
}

template <typename Metric>
SIMTILE_UNWATCHED void score_strip(const Strip& strip, Survivors& for_queries, Survivors& for_bases) {
  for_each_block<Metric>(
      strip, [&](const Block& block, std::uint32_t column)
                 __attribute__((always_inline)) { emit<Metric>(block, strip, column, for_queries, for_bases); });
}

// The sums over all dimensions but the stops; false where the block ended at one of them.
template <typename Metric>
inline __attribute__((always_inline)) bool accumulate_past_stops(const Strip& strip, std::uint32_t panel,
                                                                 Block& block) {
  const float* base = strip.base_panels + std::size_t{panel} * strip.dims * kBaseWidth;
  std::uint32_t begin = 0;
  for (std::uint32_t s = 0; s < strip.stops->count; ++s) {
    const std::uint32_t stop = strip.stops->dims[s];
    const float* query_stop = strip.query_panel + stop * kQueryWidth;
    const float* base_stop = base + stop * kBaseWidth;
    accumulate<Metric>(strip.query_panel + begin * kQueryWidth, base + begin * kBaseWidth, stop - begin, block);
    begin = stop + 1;
    if ((strip.stops->tested >> s & 1u) == 0) continue;
    if (some_pass<Metric>(block, strip, query_stop, base_stop, panel * kBaseWidth)) continue;
    ++strip.stops->ended[s];
    return false;
  }
  accumulate<Metric>(strip.query_panel + begin * kQueryWidth, base + begin * kBaseWidth, strip.dims - begin, block);
  return true;
}

template <typename Metric>
SIMTILE_UNWATCHED void screen_strip_with_stops(const Strip& strip, Survivors& for_either) {
  strip.stops->blocks += strip.base_panel_count;
  for (std::uint32_t panel = 0; panel < strip.base_panel_count; ++panel) {
    Block block;
    load_partial(nullptr, block);
    if (accumulate_past_stops<Metric>(strip, panel, block))
      emit_either<Metric>(block, strip, panel * kBaseWidth, for_either);
  }
}

template <typename Metric>
SIMTILE_UNWATCHED void screen_strip(const Strip& strip, Survivors& for_either) {
  if (strip.stops != nullptr) return screen_strip_with_stops<Metric>(strip, for_either);
  for_each_block<Metric>(
      strip, [&](const Block& block, std::uint32_t column)
                 __attribute__((always_inline)) { emit_either<Metric>(block, strip, column, for_either); });
}

void store_inner_products(const Strip& strip, float* scores, std::size_t stride) {
  for_each_block<InnerProduct>(
      strip, [&](const Block& block, std::uint32_t column) __attribute__((always_inline)) {
#pragma GCC unroll 6
        for (std::uint32_t q = 0; q < kQueryWidth; ++q)
          if (q < strip.query_rows) {
            _mm256_storeu_ps(scores + q * stride + column, block.score[q][0]);
            _mm256_storeu_ps(scores + q * stride + column + kLanes, block.score[q][1]);
          }
      });
}

// Rows 8 at a time are turned in registers and stored whole. Where a panel is no multiple of 8 wide, what is beyond its
// width is written again by the next dimension: the last ones are left to the edge.
template <std::uint32_t kWidth>
void pack_panel(const float* values, std::size_t row_stride, std::uint32_t rows, std::uint32_t dims, float* panel) {
  constexpr std::uint32_t kBeyond = kWidth % kLanes == 0 ? 0 : 1;
  std::uint32_t d = 0;
  if (rows == kWidth)
    for (; d + kDimsTurned + kBeyond <= dims; d += kDimsTurned)
#pragma GCC unroll 2
      for (std::uint32_t first = 0; first < kWidth; first += kLanes) {
        const float* of_rows[kLanes];
        for (std::uint32_t r = 0; r < kLanes; ++r)
          of_rows[r] = values + (first + r < kWidth ? first + r : kWidth - 1) * row_stride;
        __m256 turned[kDimsTurned];
        turn_dims(of_rows, d, turned);
#pragma GCC unroll 4
        for (std::uint32_t i = 0; i < kDimsTurned; ++i)
          _mm256_storeu_ps(panel + std::size_t{d + i} * kWidth + first, turned[i]);
      }
  for (; d < dims; ++d)
    for (std::uint32_t r = 0; r < kWidth; ++r) panel[d * kWidth + r] = r < rows ? values[r * row_stride + d] : 0.0f;
}

std::size_t one_float_for_each(std::uint32_t dims) { return dims; }

}  // namespace

const TileKernel kAvx2Kernel{
    .isa = Isa::kAvx2,
    .query_width = kQueryWidth,
    .base_width = kBaseWidth,
    .inner_product = score_strip<InnerProduct>,
    .squared_l2 = score_strip<SquaredL2>,
    .squared_l2_by_product = score_strip<SquaredL2ByProduct>,
    .screen = {.name = "avx2",
               .query_width = kQueryWidth,
               .base_width = kBaseWidth,
               .looseness = 0.0,
               .speedup = 1.0,
               .ns_per_dim = 0.015,
               .ns_per_pair = 0.05,
               .stops_early = true,
               .floats_of_row = one_float_for_each,
               .pack_query_panel = pack_panel<kQueryWidth>,
               .pack_base_panel = pack_panel<kBaseWidth>,
               .inner_product = screen_strip<InnerProduct>,
               .squared_l2 = screen_strip<SquaredL2ByProduct>,
               .store_bounds = store_inner_products},
    .store_inner_products = store_inner_products,
    .squared_l2_of_panel_pairs = rescore_pairs<PanelWidths, DifferenceStep>,
    .inner_product_of_row_pairs = score_row_pairs<InnerProduct>,
    .squared_l2_of_row_pairs = score_row_pairs<SquaredL2>,
    .add_pair_products = add_pair_products,
    .pack_query_panel = pack_panel<kQueryWidth>,
    .pack_base_panel = pack_panel<kBaseWidth>,
    .row_query_width = kLanes,
    .inner_product_rows = score_rows<InnerProduct>,
    .squared_l2_rows = score_rows<SquaredL2>,
    .pack_row_query_panel = pack_panel<kLanes>,
    .sparse_squared_l2 = sparse_squared_l2,
    .prune_keys = prune_by_counting<KeyLanes>,
};

}  // namespace simtile::kernels
