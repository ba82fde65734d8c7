// The definition. Every other kernel must give these bits.
//
// std::fma is exact on every machine. Where the processor has the instruction, the same loops compiled for it
// (target_clones) merely avoid a library call for each step.
#include <algorithm>
#include <cmath>

#include "engine/kernels/tile_kernel.h"

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__) && \
    !defined(__SANITIZE_THREAD__)
#define SIMTILE_WITH_AND_WITHOUT_FMA __attribute__((target_clones("default", "fma")))
#else
#define SIMTILE_WITH_AND_WITHOUT_FMA
#endif

namespace simtile::kernels {
namespace {

constexpr std::uint32_t kWidth = 4;

// The score of each pair of a query panel and a base panel.
SIMTILE_WITH_AND_WITHOUT_FMA
void inner_products(const float* query, const float* base, std::uint32_t dims, float* scores) {
  float sum[kWidth * kWidth] = {};
  for (std::uint32_t d = 0; d < dims; ++d)
#pragma GCC unroll 4
    for (std::uint32_t q = 0; q < kWidth; ++q)
#pragma GCC unroll 4
      for (std::uint32_t b = 0; b < kWidth; ++b)
        sum[q * kWidth + b] = std::fma(query[d * kWidth + q], base[d * kWidth + b], sum[q * kWidth + b]);
  for (std::uint32_t pair = 0; pair < kWidth * kWidth; ++pair) scores[pair] = sum[pair];
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

template <typename Scores, typename Survives>
void score_strip(const Strip& strip, Survivors& for_queries, Survivors& for_bases, Scores score, Survives survives) {
  for (std::uint32_t panel = 0; panel < strip.base_panel_count; ++panel) {
    float block[kWidth * kWidth];
    score(strip.query_panel, strip.base_panels + std::size_t{panel} * strip.dims * kWidth, strip.dims, block);
    for (std::uint32_t q = 0; q < strip.query_rows; ++q)
      for (std::uint32_t b = 0; b < kWidth; ++b) {
        const std::uint32_t column = panel * kWidth + b;
        if (std::isnan(strip.base_thresholds[column])) continue;
        const float found = block[q * kWidth + b];
        const std::uint32_t pair = strip.first_pair + (q << kQueryShift) + column;
        if (survives(found, strip.query_thresholds[q])) append(for_queries, found, pair);
        if (survives(found, strip.base_thresholds[column])) append(for_bases, found, pair);
      }
  }
}

void inner_product(const Strip& strip, Survivors& for_queries, Survivors& for_bases) {
  score_strip(strip, for_queries, for_bases, inner_products,
              [](float score, float threshold) { return score >= threshold; });
}

void squared_l2(const Strip& strip, Survivors& for_queries, Survivors& for_bases) {
  score_strip(strip, for_queries, for_bases, squared_distances,
              [](float score, float threshold) { return score <= threshold; });
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
  score_rows(strip, for_queries, inner_products_of_row,
             [](float score, float threshold) { return score >= threshold; });
}

void squared_l2_rows(const RowStrip& strip, Survivors& for_queries) {
  score_rows(strip, for_queries, squared_distances_of_row,
             [](float score, float threshold) { return score <= threshold; });
}

void pack_panel(const float* values, std::size_t row_stride, std::uint32_t rows, std::uint32_t dims, float* panel) {
  for (std::uint32_t d = 0; d < dims; ++d)
    for (std::uint32_t r = 0; r < kWidth; ++r) panel[d * kWidth + r] = r < rows ? values[r * row_stride + d] : 0.0f;
}

SIMTILE_WITH_AND_WITHOUT_FMA
void accumulate_postings(const float* values, const std::uint32_t* rows, std::size_t count, float factor,
                         float* scores) {
  for (std::size_t i = 0; i < count; ++i) scores[rows[i]] = std::fma(values[i], factor, scores[rows[i]]);
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

}  // namespace

const TileKernel kScalarKernel{
    Isa::kScalar,       kWidth,          kWidth,     inner_product,
    squared_l2,         pack_panel,      pack_panel, kWidth,
    inner_product_rows, squared_l2_rows, pack_panel, accumulate_postings,
    sparse_squared_l2,  prune_keys,
};

}  // namespace simtile::kernels
