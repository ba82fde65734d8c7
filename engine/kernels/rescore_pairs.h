// The definition's scores of single pairs, for the survivors of a cheaper test. Several chains at once cover the
// latency of the multiply-add.
//
// `Widths` is a type with internal linkage in the file that includes this (see prune_keys.h): kQuery and kBase, the
// widths of the panels that hold the rows; 1 for rows that lie one after the other.
#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/kernels/tile_kernel.h"

namespace simtile::kernels {

struct ProductStep {
  static inline __attribute__((always_inline)) float add(float query, float base, float sum) {
    return __builtin_fmaf(query, base, sum);
  }
};
struct DifferenceStep {
  static inline __attribute__((always_inline)) float add(float query, float base, float sum) {
    const float difference = query - base;
    return __builtin_fmaf(difference, difference, sum);
  }
};

template <typename Widths, typename Step>
void rescore_pairs(const float* queries, const float* bases, std::uint32_t dims, const std::uint32_t* pairs,
                   std::uint32_t count, float* scores) {
  constexpr std::uint32_t kChains = 8;
  for (std::uint32_t first = 0; first < count; first += kChains) {
    const float* query[kChains];
    const float* base[kChains];
    float sum[kChains] = {};
    for (std::uint32_t i = 0; i < kChains; ++i) {
      // Beyond the last pair, the last one again.
      const std::uint32_t pair = pairs[first + i < count ? first + i : count - 1];
      const std::uint32_t q = pair >> kQueryShift;
      const std::uint32_t b = pair & kColumnMask;
      query[i] = queries + std::size_t{q / Widths::kQuery} * dims * Widths::kQuery + q % Widths::kQuery;
      base[i] = bases + std::size_t{b / Widths::kBase} * dims * Widths::kBase + b % Widths::kBase;
    }
    for (std::uint32_t d = 0; d < dims; ++d)
#pragma GCC unroll 8
      for (std::uint32_t i = 0; i < kChains; ++i)
        sum[i] = Step::add(query[i][std::size_t{d} * Widths::kQuery], base[i][std::size_t{d} * Widths::kBase], sum[i]);
    for (std::uint32_t i = 0; i < kChains && first + i < count; ++i) scores[first + i] = sum[i];
  }
}

}  // namespace simtile::kernels
