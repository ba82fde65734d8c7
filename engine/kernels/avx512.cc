// AVX-512F: blocks of 14 x 32 pairs (avx512_blocks.h).
// Nothing from the standard library may be instantiated here: this file's flags must not leak into shared inline code.
#include <immintrin.h>

#include "engine/kernels/avx512_blocks.h"
#include "engine/kernels/avx512_few_queries.h"
#include "engine/kernels/avx512_keys.h"
#include "engine/kernels/avx512_row_pairs.h"
#include "engine/kernels/avx512_steps.h"
#include "engine/kernels/avx512_survivors.h"
#include "engine/kernels/avx512_transpose.h"
#include "engine/kernels/prune_keys.h"
#include "engine/kernels/rescore_pairs.h"
#include "engine/kernels/sparse_chain.h"
#include "engine/kernels/tile_kernel.h"
#include "engine/kernels/unwatched.h"

namespace simtile::kernels {
namespace {

struct PanelWidths {
  static constexpr std::uint32_t kQuery = kQueryWidth;
  static constexpr std::uint32_t kBase = kBaseWidth;
};

// Most blocks hold no survivor: one comparison with the weaker bound of each pair tells. Which side a survivor is for
// is asked only in the query rows that hold one, and appended without a branch: either is as likely as not.
template <typename Metric>
inline __attribute__((always_inline)) void emit(const Block& block, const Strip& strip, std::uint32_t column,
                                                Survivors& for_queries, Survivors& for_bases) {
  std::uint32_t masks[kQueryWidth];
  std::uint32_t rows_hit = find_hits<Metric>(block, strip, column, masks);
  if (__builtin_expect(rows_hit == 0, 1)) return;
  alignas(64) float scores[kQueryWidth * kBaseWidth];
  store_partial(block, scores);
  do {
    const auto q = static_cast<std::uint32_t>(__builtin_ctz(rows_hit));
    rows_hit &= rows_hit - 1;
#pragma GCC unroll 2
    for (std::uint32_t half = 0; half < 2; ++half) {
      const auto hit = static_cast<__mmask16>(masks[q] >> (half * kLanes));
      const __m512 score = _mm512_load_ps(scores + q * kBaseWidth + half * kLanes);
      const __m512i pairs = pair_numbers(strip, q, column + half * kLanes);
      const Bounds bounds = bounds_of<Metric>(strip, q, column + half * kLanes);
      append(Metric::passes(hit, score, bounds.for_query), score, pairs, for_queries);
      append(Metric::passes(hit, score, bounds.for_base), score, pairs, for_bases);
    }
  } while (rows_hit != 0);
}

// Whether some pair passes with its products in one more dimension.
template <typename Metric>
inline __attribute__((always_inline)) bool some_pass(const Block& block, const Strip& strip, const float* query,
                                                     const float* base, std::uint32_t column) {
  const __m512 base0 = _mm512_loadu_ps(base);
  const __m512 base1 = _mm512_loadu_ps(base + kLanes);
  std::uint32_t any = 0;
#pragma GCC unroll 14
  for (std::uint32_t q = 0; q < kQueryWidth; ++q) {
    const __m512 broadcast = _mm512_set1_ps(query[q]);
    const Bounds bounds0 = bounds_of<Metric>(strip, q, column);
    const Bounds bounds1 = bounds_of<Metric>(strip, q, column + kLanes);
    any |= Metric::passes(0xffff, Metric::step(broadcast, base0, block.score[q][0]),
                          Metric::weaker(bounds0.for_query, bounds0.for_base));
    any |= Metric::passes(0xffff, Metric::step(broadcast, base1, block.score[q][1]),
                          Metric::weaker(bounds1.for_query, bounds1.for_base));
  }
  return any != 0;
}

template <typename Metric>
SIMTILE_UNWATCHED void score_strip(const Strip& strip, Survivors& for_queries, Survivors& for_bases) {
  for_each_block<Metric>(
      strip, strip.dims, [&](const Block& block, std::uint32_t column) __attribute__((always_inline)) {
        emit<Metric>(block, strip, column, for_queries, for_bases);
      });
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
      strip, strip.dims, [&](const Block& block, std::uint32_t column) __attribute__((always_inline)) {
        emit_either<Metric>(block, strip, column, for_either);
      });
}

void store_inner_products(const Strip& strip, float* scores, std::size_t stride) {
  for_each_block<InnerProduct>(
      strip, strip.dims, [&](const Block& block, std::uint32_t column) __attribute__((always_inline)) {
        store_scores(block, strip, scores + column, stride);
      });
}

inline void transpose_into_panel(const float* values, std::size_t row_stride, float* panel) {
  __m512 rows[16];
  __m512 dims[16];
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i) rows[i] = _mm512_loadu_ps(values + static_cast<std::size_t>(i) * row_stride);
  transpose16(rows, dims);
#pragma GCC unroll 16
  for (std::size_t i = 0; i < 16; ++i) _mm512_storeu_ps(panel + i * kBaseWidth, dims[i]);
}

template <std::uint32_t kWidth>
void pack_edge(const float* values, std::size_t row_stride, std::uint32_t rows, std::uint32_t first_dim,
               std::uint32_t dims, float* panel) {
  for (std::uint32_t d = first_dim; d < dims; ++d)
    for (std::uint32_t r = 0; r < kWidth; ++r) panel[d * kWidth + r] = r < rows ? values[r * row_stride + d] : 0.0f;
}

void pack_query_panel(const float* values, std::size_t row_stride, std::uint32_t rows, std::uint32_t dims,
                      float* panel) {
  std::uint32_t d = 0;
  if (rows == kQueryWidth)
    for (; d + kLanes <= dims; d += kLanes) {
      __m512 lanes_of_row[16] = {};
      __m512 rows_of_dim[16];
#pragma GCC unroll 14
      for (std::uint32_t r = 0; r < kQueryWidth; ++r) lanes_of_row[r] = _mm512_loadu_ps(values + r * row_stride + d);
      transpose16(lanes_of_row, rows_of_dim);
#pragma GCC unroll 16
      for (std::uint32_t i = 0; i < kLanes; ++i)
        _mm512_mask_storeu_ps(panel + std::size_t{d + i} * kQueryWidth, (1u << kQueryWidth) - 1u, rows_of_dim[i]);
    }
  pack_edge<kQueryWidth>(values, row_stride, rows, d, dims, panel);
}

void pack_row_query_panel(const float* values, std::size_t row_stride, std::uint32_t rows, std::uint32_t dims,
                          float* panel) {
  pack_edge<kLanes>(values, row_stride, rows, 0, dims, panel);
}

void pack_base_panel(const float* values, std::size_t row_stride, std::uint32_t rows, std::uint32_t dims,
                     float* panel) {
  std::uint32_t d = 0;
  if (rows == kBaseWidth)
    for (; d + kLanes <= dims; d += kLanes) {
      transpose_into_panel(values + d, row_stride, panel + std::size_t{d} * kBaseWidth);
      transpose_into_panel(values + kLanes * row_stride + d, row_stride, panel + std::size_t{d} * kBaseWidth + kLanes);
    }
  pack_edge<kBaseWidth>(values, row_stride, rows, d, dims, panel);
}

std::size_t one_float_for_each(std::uint32_t dims) { return dims; }

}  // namespace

const TileKernel kAvx512Kernel{
    .isa = Isa::kAvx512,
    .query_width = kQueryWidth,
    .base_width = kBaseWidth,
    .inner_product = score_strip<InnerProduct>,
    .squared_l2 = score_strip<SquaredL2>,
    .squared_l2_by_product = score_strip<SquaredL2ByProduct>,
    .screen = {.name = "avx512",
               .query_width = kQueryWidth,
               .base_width = kBaseWidth,
               .looseness = 0.0,
               .speedup = 1.0,
               .ns_per_dim = 0.015,
               .ns_per_pair = 0.05,
               .stops_early = true,
               .floats_of_row = one_float_for_each,
               .pack_query_panel = pack_query_panel,
               .pack_base_panel = pack_base_panel,
               .inner_product = screen_strip<InnerProduct>,
               .squared_l2 = screen_strip<SquaredL2ByProduct>,
               .store_bounds = store_inner_products},
    .store_inner_products = store_inner_products,
    .squared_l2_of_panel_pairs = rescore_pairs<PanelWidths, DifferenceStep>,
    .inner_product_of_row_pairs = score_row_pairs<InnerProduct>,
    .squared_l2_of_row_pairs = score_row_pairs<SquaredL2>,
    .add_pair_products = add_pair_products,
    .pack_query_panel = pack_query_panel,
    .pack_base_panel = pack_base_panel,
    .row_query_width = kLanes,
    .inner_product_rows = score_rows<InnerProduct>,
    .squared_l2_rows = score_rows<SquaredL2>,
    .pack_row_query_panel = pack_row_query_panel,
    .sparse_squared_l2 = sparse_squared_l2,
    .prune_keys = prune_by_counting<KeyLanes>,
};

}  // namespace simtile::kernels
