// The definition's squared l2 of single pairs, out of panels: for the survivors of a cheaper test. Several chains at
// once cover the latency of the multiply-add.
//
// `Widths` is a type with internal linkage in the file that includes this (see prune_keys.h): kQuery, kBase.
#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/kernels/tile_kernel.h"

namespace simtile::kernels {

template <typename Widths>
void squared_l2_of_panel_pairs(const float* query_panels, const float* base_panels, std::uint32_t dims,
                               const std::uint32_t* pairs, std::uint32_t count, float* scores) {
  constexpr std::uint32_t kChains = 8;
  for (std::uint32_t first = 0; first < count; first += kChains) {
    const float* query[kChains];
    const float* base[kChains];
    float sum[kChains] = {};
    for (std::uint32_t i = 0; i < kChains; ++i) {
      // Beyond the last pair, the last one again.
      const std::uint32_t pair = pairs[first + i < count ? first + i : count - 1];
      const std::uint32_t q = pair >> kQueryShift;
      const std::uint32_t b = pair & ((1u << kQueryShift) - 1);
      query[i] = query_panels + std::size_t{q / Widths::kQuery} * dims * Widths::kQuery + q % Widths::kQuery;
      base[i] = base_panels + std::size_t{b / Widths::kBase} * dims * Widths::kBase + b % Widths::kBase;
    }
    for (std::uint32_t d = 0; d < dims; ++d)
#pragma GCC unroll 8
      for (std::uint32_t i = 0; i < kChains; ++i) {
        const float difference = query[i][std::size_t{d} * Widths::kQuery] - base[i][std::size_t{d} * Widths::kBase];
        sum[i] = __builtin_fmaf(difference, difference, sum[i]);
      }
    for (std::uint32_t i = 0; i < kChains && first + i < count; ++i) scores[first + i] = sum[i];
  }
}

}  // namespace simtile::kernels
