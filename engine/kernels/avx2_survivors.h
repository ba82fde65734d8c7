// Comparing scores with thresholds, and appending what survives: shared by the files that are compiled for AVX2. All is
// of internal linkage, as in the files themselves: none of their code may be merged with another's.
#pragma once

#include <immintrin.h>

#include "engine/kernels/tile_kernel.h"

namespace simtile::kernels {
namespace {

constexpr std::uint32_t kLanes = 8;

struct ProductThresholds {
  static constexpr bool kComparesWithSums = false;
  // NaN when the base threshold is.
  static inline __attribute__((always_inline)) __m256 weaker(__m256 query_threshold, __m256 base_threshold) {
    return _mm256_min_ps(query_threshold, base_threshold);
  }
  static inline __attribute__((always_inline)) std::uint32_t passes(__m256 score, __m256 threshold) {
    return static_cast<std::uint32_t>(_mm256_movemask_ps(_mm256_cmp_ps(score, threshold, _CMP_GE_OQ)));
  }
  // The same of one pair.
  static inline __attribute__((always_inline)) bool passes(float score, float threshold) { return score >= threshold; }
};

// The product's scores, compared with sums of the two rows' parts (join/l2_margin.h).
struct SummedThresholds : ProductThresholds {
  static constexpr bool kComparesWithSums = true;
};

// Appends the pairs of `hits` among rows of 16 scores: bit 16 r + c is the pair first_pair + (r << kQueryShift) + c.
inline __attribute__((always_inline)) void append(std::uint64_t hits, const float* scores, std::uint32_t first_pair,
                                                  Survivors& survivors) {
  for (; hits != 0; hits &= hits - 1) {
    const auto lane = static_cast<std::uint32_t>(__builtin_ctzll(hits));
    survivors.scores[survivors.count] = scores[lane];
    survivors.pairs[survivors.count++] = first_pair + lane + lane / 16 * ((1u << kQueryShift) - 16);
  }
}

// What the 8 pairs of a query row and the base rows from `column` on compare their scores with, for either side.
struct Bounds {
  __m256 for_query, for_base;
};

template <typename Metric>
inline __attribute__((always_inline)) Bounds bounds_of(const Strip& strip, std::uint32_t q, std::uint32_t column) {
  const __m256 query = _mm256_broadcast_ss(strip.query_thresholds + q);
  const __m256 base = _mm256_loadu_ps(strip.base_thresholds + column);
  if constexpr (Metric::kComparesWithSums)
    return {_mm256_add_ps(query, _mm256_loadu_ps(strip.base_offsets + column)),
            _mm256_add_ps(_mm256_broadcast_ss(strip.query_offsets + q), base)};
  return {query, base};
}

// Appends each of `hits` to the lists of the sides that it passes for; rows from first_query on.
template <typename Metric>
inline __attribute__((always_inline)) void append_by_side(std::uint64_t hits, const float* scores, const Strip& strip,
                                                          std::uint32_t first_query, std::uint32_t column,
                                                          Survivors& for_queries, Survivors& for_bases) {
  Survivors queries = for_queries;  // whose counts the stores cannot reach
  Survivors bases = for_bases;
  for (; hits != 0; hits &= hits - 1) {
    const auto lane = static_cast<std::uint32_t>(__builtin_ctzll(hits));
    const std::uint32_t q = first_query + lane / 16;
    const std::uint32_t base = column + lane % 16;
    float query_bound = strip.query_thresholds[q];
    float base_bound = strip.base_thresholds[base];
    if constexpr (Metric::kComparesWithSums) {
      query_bound += strip.base_offsets[base];
      base_bound += strip.query_offsets[q];
    }
    const float score = scores[lane];
    const std::uint32_t pair = strip.first_pair + (q << kQueryShift) + base;
    queries.scores[queries.count] = bases.scores[bases.count] = score;
    queries.pairs[queries.count] = bases.pairs[bases.count] = pair;
    queries.count += static_cast<std::uint32_t>(Metric::passes(score, query_bound));
    bases.count += static_cast<std::uint32_t>(Metric::passes(score, base_bound));
  }
  for_queries.count = queries.count;
  for_bases.count = bases.count;
}

}  // namespace
}  // namespace simtile::kernels
