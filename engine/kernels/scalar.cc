// The definition. Every other kernel must give these bits.
//
// std::fma is exact on every machine. Where the processor has the instruction, the same loops compiled for it
// (target_clones) merely avoid a library call for each step.
#include <algorithm>
#include <cmath>

#include "engine/base/fma_clones.h"
#include "engine/kernels/tile_kernel.h"

namespace simtile::kernels {
namespace {

constexpr std::uint32_t kWidth = 4;

// Adds the products of each pair of a query panel and a base panel to its sum.
SIMTILE_WITH_AND_WITHOUT_FMA
void add_products(const float* query, const float* base, std::uint32_t dims, float* sums) {
  float sum[kWidth * kWidth];
  for (std::uint32_t pair = 0; pair < kWidth * kWidth; ++pair) sum[pair] = sums[pair];
  for (std::uint32_t d = 0; d < dims; ++d)
#pragma GCC unroll 4
    for (std::uint32_t q = 0; q < kWidth; ++q)
#pragma GCC unroll 4
      for (std::uint32_t b = 0; b < kWidth; ++b)
        sum[q * kWidth + b] = std::fma(query[d * kWidth + q], base[d * kWidth + b], sum[q * kWidth + b]);
  for (std::uint32_t pair = 0; pair < kWidth * kWidth; ++pair) sums[pair] = sum[pair];
}

// The score of each pair.
void inner_products(const float* query, const float* base, std::uint32_t dims, float* scores) {
  std::fill_n(scores, kWidth * kWidth, 0.0f);
  add_products(query, base, dims, scores);
}

SIMTILE_WITH_AND_WITHOUT_FMA
void squared_distances(const float* query, const float* base, std::uint32_t dims, float* scores) {
  float sum[kWidth * kWidth] = {};
  for (std::uint32_t d = 0; d < dims; ++d)
#pragma GCC unroll 4
    for (std::uint32_t q = 0; q < kWidth; ++q)
#pragma GCC unroll 4
      for (std::uint32_t b = 0; b < kWidth; ++b) {
        const float difference = query[d * kWidth + q] - base[d * kWidth + b];
        sum[q * kWidth + b] = std::fma(difference, difference, sum[q * kWidth + b]);
      }
  for (std::uint32_t pair = 0; pair < kWidth * kWidth; ++pair) scores[pair] = sum[pair];
}

void append(Survivors& survivors, float score, std::uint32_t pair) {
  survivors.scores[survivors.count] = score;
  survivors.pairs[survivors.count++] = pair;
}

// bounds(query row, base row) gives what the two sides compare with.
template <typename Scores, typename Survives, typename Bounds>
void score_strip(const Strip& strip, Survivors& for_queries, Survivors& for_bases, Scores score, Survives survives,
                 Bounds bounds) {
  for (std::uint32_t panel = 0; panel < strip.base_panel_count; ++panel) {
    float block[kWidth * kWidth];
    score(strip.query_panel, strip.base_panels + std::size_t{panel} * strip.dims * kWidth, strip.dims, block);
    for (std::uint32_t q = 0; q < strip.query_rows; ++q)
      for (std::uint32_t b = 0; b < kWidth; ++b) {
        const std::uint32_t column = panel * kWidth + b;
        if (std::isnan(strip.base_thresholds[column])) continue;
        const float found = block[q * kWidth + b];
        const std::uint32_t pair = strip.first_pair + (q << kQueryShift) + column;
        const auto [for_query, for_base] = bounds(q, column);
        if (survives(found, for_query)) append(for_queries, found, pair);
        if (survives(found, for_base)) append(for_bases, found, pair);
      }
  }
}

struct SideBounds {
  float for_query, for_base;
};

bool at_least(float score, float bound) { return score >= bound; }
bool at_most(float score, float bound) { return score <= bound; }

void inner_product(const Strip& strip, Survivors& for_queries, Survivors& for_bases) {
  score_strip(strip, for_queries, for_bases, inner_products, at_least, [&](std::uint32_t q, std::uint32_t b) {
    return SideBounds{strip.query_thresholds[q], strip.base_thresholds[b]};
  });
}

void squared_l2(const Strip& strip, Survivors& for_queries, Survivors& for_bases) {
  score_strip(strip, for_queries, for_bases, squared_distances, at_most, [&](std::uint32_t q, std::uint32_t b) {
    return SideBounds{strip.query_thresholds[q], strip.base_thresholds[b]};
  });
}

void squared_l2_by_product(const Strip& strip, Survivors& for_queries, Survivors& for_bases) {
  score_strip(strip, for_queries, for_bases, inner_products, at_least, [&](std::uint32_t q, std::uint32_t b) {
    return SideBounds{strip.query_thresholds[q] + strip.base_offsets[b],
                      strip.query_offsets[q] + strip.base_thresholds[b]};
  });
}

// passing(pair of the block) for those that survive for either side.
template <typename Bounds, typename Passing>
void for_each_passing(const Strip& strip, std::uint32_t panel, const float* block, Bounds bounds, Passing passing) {
  for (std::uint32_t q = 0; q < strip.query_rows; ++q)
    for (std::uint32_t b = 0; b < kWidth; ++b) {
      const std::uint32_t column = panel * kWidth + b;
      if (std::isnan(strip.base_thresholds[column])) continue;
      const auto [for_query, for_base] = bounds(q, column);
      if (block[q * kWidth + b] >= std::min(for_query, for_base)) passing(q, b);
    }
}

// The sums over all dimensions but the stops; false where the block ended at one of them.
template <typename Bounds>
bool add_products_past_stops(const Strip& strip, std::uint32_t panel, Bounds bounds, float* sums) {
  const float* base = strip.base_panels + std::size_t{panel} * strip.dims * kWidth;
  const std::uint32_t stops = strip.stops == nullptr ? 0 : strip.stops->count;
  std::uint32_t begin = 0;
  for (std::uint32_t s = 0; s < stops; ++s) {
    const std::uint32_t stop = strip.stops->dims[s];
    add_products(strip.query_panel + begin * kWidth, base + begin * kWidth, stop - begin, sums);
    begin = stop + 1;
    if ((strip.stops->tested >> s & 1u) == 0) continue;
    float block[kWidth * kWidth];
    std::copy_n(sums, kWidth * kWidth, block);
    add_products(strip.query_panel + stop * kWidth, base + stop * kWidth, 1, block);
    bool some_pass = false;
    for_each_passing(strip, panel, block, bounds, [&](std::uint32_t, std::uint32_t) { some_pass = true; });
    if (some_pass) continue;
    ++strip.stops->ended[s];
    return false;
  }
  add_products(strip.query_panel + begin * kWidth, base + begin * kWidth, strip.dims - begin, sums);
  return true;
}

template <typename Bounds>
void screen_strip(const Strip& strip, Survivors& for_either, Bounds bounds) {
  if (strip.stops != nullptr) strip.stops->blocks += strip.base_panel_count;
  for (std::uint32_t panel = 0; panel < strip.base_panel_count; ++panel) {
    float block[kWidth * kWidth] = {};
    if (!add_products_past_stops(strip, panel, bounds, block)) continue;
    for_each_passing(strip, panel, block, bounds, [&](std::uint32_t q, std::uint32_t b) {
      append(for_either, block[q * kWidth + b], strip.first_pair + (q << kQueryShift) + panel * kWidth + b);
    });
  }
}

void screen_inner_product(const Strip& strip, Survivors& for_either) {
  screen_strip(strip, for_either, [&](std::uint32_t q, std::uint32_t b) {
    return SideBounds{strip.query_thresholds[q], strip.base_thresholds[b]};
  });
}

void screen_squared_l2(const Strip& strip, Survivors& for_either) {
  screen_strip(strip, for_either, [&](std::uint32_t q, std::uint32_t b) {
    return SideBounds{strip.query_thresholds[q] + strip.base_offsets[b],
                      strip.query_offsets[q] + strip.base_thresholds[b]};
  });
}

void store_inner_products(const Strip& strip, float* scores, std::size_t stride) {
  for (std::uint32_t panel = 0; panel < strip.base_panel_count; ++panel) {
    float block[kWidth * kWidth];
    inner_products(strip.query_panel, strip.base_panels + std::size_t{panel} * strip.dims * kWidth, strip.dims, block);
    for (std::uint32_t q = 0; q < strip.query_rows; ++q)
      for (std::uint32_t b = 0; b < kWidth; ++b) scores[q * stride + panel * kWidth + b] = block[q * kWidth + b];
  }
}

// The chain of one pair; its rows' elements lie query_step and base_step floats apart.
SIMTILE_WITH_AND_WITHOUT_FMA
float inner_product_of_pair(const float* query, std::size_t query_step, const float* base, std::size_t base_step,
                            std::uint32_t dims) {
  float sum = 0.0f;
  for (std::uint32_t d = 0; d < dims; ++d) sum = std::fma(query[d * query_step], base[d * base_step], sum);
  return sum;
}

SIMTILE_WITH_AND_WITHOUT_FMA
float squared_l2_of_pair(const float* query, std::size_t query_step, const float* base, std::size_t base_step,
                         std::uint32_t dims) {
  float sum = 0.0f;
  for (std::uint32_t d = 0; d < dims; ++d) {
    const float difference = query[d * query_step] - base[d * base_step];
    sum = std::fma(difference, difference, sum);
  }
  return sum;
}

constexpr std::uint32_t query_of(std::uint32_t pair) { return pair >> kQueryShift; }
constexpr std::uint32_t base_of(std::uint32_t pair) { return pair & kColumnMask; }

void squared_l2_of_panel_pairs(const float* query_panels, const float* base_panels, std::uint32_t dims,
                               const std::uint32_t* pairs, std::uint32_t count, float* scores) {
  const auto first_element = [dims](const float* panels, std::uint32_t row) {
    return panels + std::size_t{row / kWidth} * dims * kWidth + row % kWidth;
  };
  for (std::uint32_t i = 0; i < count; ++i)
    scores[i] = squared_l2_of_pair(first_element(query_panels, query_of(pairs[i])), kWidth,
                                   first_element(base_panels, base_of(pairs[i])), kWidth, dims);
}

void inner_product_of_row_pairs(const float* queries, const float* bases, std::uint32_t dims,
                                const std::uint32_t* pairs, std::uint32_t count, float* scores) {
  for (std::uint32_t i = 0; i < count; ++i)
    scores[i] = inner_product_of_pair(queries + std::size_t{query_of(pairs[i])} * dims, 1,
                                      bases + std::size_t{base_of(pairs[i])} * dims, 1, dims);
}

void squared_l2_of_row_pairs(const float* queries, const float* bases, std::uint32_t dims, const std::uint32_t* pairs,
                             std::uint32_t count, float* scores) {
  for (std::uint32_t i = 0; i < count; ++i)
    scores[i] = squared_l2_of_pair(queries + std::size_t{query_of(pairs[i])} * dims, 1,
                                   bases + std::size_t{base_of(pairs[i])} * dims, 1, dims);
}

void add_pair_products(const PairProducts& rows, const std::uint32_t* pairs, std::uint32_t count, float* scores) {
  for (std::uint32_t i = 0; i < count; ++i)
    scores[i] += rows.factors[base_of(pairs[i])] *
                 inner_product_of_pair(rows.queries + query_of(pairs[i]) * rows.query_stride, 1,
                                       rows.bases + base_of(pairs[i]) * rows.base_stride, 1, rows.dims);
}

// The scores of one base row with the queries of a panel.
SIMTILE_WITH_AND_WITHOUT_FMA
void inner_products_of_row(const float* query, const float* base, std::uint32_t dims, float* scores) {
  float sum[kWidth] = {};
  for (std::uint32_t d = 0; d < dims; ++d)
#pragma GCC unroll 4
    for (std::uint32_t q = 0; q < kWidth; ++q) sum[q] = std::fma(query[d * kWidth + q], base[d], sum[q]);
  for (std::uint32_t q = 0; q < kWidth; ++q) scores[q] = sum[q];
}

SIMTILE_WITH_AND_WITHOUT_FMA
void squared_distances_of_row(const float* query, const float* base, std::uint32_t dims, float* scores) {
  float sum[kWidth] = {};
  for (std::uint32_t d = 0; d < dims; ++d)
#pragma GCC unroll 4
    for (std::uint32_t q = 0; q < kWidth; ++q) {
      const float difference = query[d * kWidth + q] - base[d];
      sum[q] = std::fma(difference, difference, sum[q]);
    }
  for (std::uint32_t q = 0; q < kWidth; ++q) scores[q] = sum[q];
}

template <typename Scores, typename Survives>
void score_rows(const RowStrip& strip, Survivors& for_queries, Scores score, Survives survives) {
  for (std::uint32_t row = 0; row < strip.base_row_count; ++row)
    for (std::uint32_t panel = 0; panel < strip.query_panel_count; ++panel) {
      float scores[kWidth];
      score(strip.query_panels + std::size_t{panel} * strip.dims * kWidth, strip.base_rows + row * strip.base_stride,
            strip.dims, scores);
      for (std::uint32_t q = 0; q < kWidth; ++q) {
        const std::uint32_t query = panel * kWidth + q;
        if (survives(scores[q], strip.query_thresholds[query]))
          append(for_queries, scores[q], strip.first_pair + (query << kQueryShift) + row);
      }
    }
}

void inner_product_rows(const RowStrip& strip, Survivors& for_queries) {
  score_rows(strip, for_queries, inner_products_of_row, at_least);
}

void squared_l2_rows(const RowStrip& strip, Survivors& for_queries) {
  score_rows(strip, for_queries, squared_distances_of_row, at_most);
}

void pack_panel(const float* values, std::size_t row_stride, std::uint32_t rows, std::uint32_t dims, float* panel) {
  for (std::uint32_t d = 0; d < dims; ++d)
    for (std::uint32_t r = 0; r < kWidth; ++r) panel[d * kWidth + r] = r < rows ? values[r * row_stride + d] : 0.0f;
}

SIMTILE_WITH_AND_WITHOUT_FMA
float sparse_squared_l2(const std::uint32_t* a_columns, const float* a_values, std::size_t a_count,
                        const std::uint32_t* b_columns, const float* b_values, std::size_t b_count) {
  float score = 0.0f;
  std::size_t a = 0;
  std::size_t b = 0;
  while (a < a_count || b < b_count) {
    const bool take_a = b == b_count || (a < a_count && a_columns[a] <= b_columns[b]);
    const bool take_b = a == a_count || (b < b_count && b_columns[b] <= a_columns[a]);
    const float difference = (take_a ? a_values[a] : 0.0f) - (take_b ? b_values[b] : 0.0f);
    score = std::fma(difference, difference, score);
    a += take_a;
    b += take_b;
  }
  return score;
}

Pruned prune_keys(std::uint64_t* keys, std::size_t count, std::size_t least, std::size_t) {
  std::nth_element(keys, keys + least, keys + count);
  return {least, keys[least]};
}

std::size_t one_float_for_each(std::uint32_t dims) { return dims; }

}  // namespace

const TileKernel kScalarKernel{
    .isa = Isa::kScalar,
    .query_width = kWidth,
    .base_width = kWidth,
    .inner_product = inner_product,
    .squared_l2 = squared_l2,
    .squared_l2_by_product = squared_l2_by_product,
    .screen = {.name = "scalar",
               .query_width = kWidth,
               .base_width = kWidth,
               .looseness = 0.0,
               .speedup = 1.0,
               .ns_per_dim = 0.015,
               .ns_per_pair = 0.05,
               .stops_early = true,
               .floats_of_row = one_float_for_each,
               .pack_query_panel = pack_panel,
               .pack_base_panel = pack_panel,
               .inner_product = screen_inner_product,
               .squared_l2 = screen_squared_l2,
               .store_bounds = store_inner_products},
    .store_inner_products = store_inner_products,
    .squared_l2_of_panel_pairs = squared_l2_of_panel_pairs,
    .inner_product_of_row_pairs = inner_product_of_row_pairs,
    .squared_l2_of_row_pairs = squared_l2_of_row_pairs,
    .add_pair_products = add_pair_products,
    .pack_query_panel = pack_panel,
    .pack_base_panel = pack_panel,
    .row_query_width = kWidth,
    .inner_product_rows = inner_product_rows,
    .squared_l2_rows = squared_l2_rows,
    .pack_row_query_panel = pack_panel,
    .sparse_squared_l2 = sparse_squared_l2,
    .prune_keys = prune_keys,
};

}  // namespace simtile::kernels
