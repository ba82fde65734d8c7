// The squared l2 chain over the union of two sparse rows' columns, for files whose instruction set has the
// multiply-add: of internal linkage, so that each keeps its own. (The scalar kernel's is the definition.)
#pragma once

#include <cstddef>
#include <cstdint>

namespace simtile::kernels {
namespace {

float sparse_squared_l2(const std::uint32_t* a_columns, const float* a_values, std::size_t a_count,
                        const std::uint32_t* b_columns, const float* b_values, std::size_t b_count) {
  float score = 0.0f;
  std::size_t a = 0;
  std::size_t b = 0;
  while (a < a_count || b < b_count) {
    const bool take_a = b == b_count || (a < a_count && a_columns[a] <= b_columns[b]);
    const bool take_b = a == a_count || (b < b_count && b_columns[b] <= a_columns[a]);
    const float difference = (take_a ? a_values[a] : 0.0f) - (take_b ? b_values[b] : 0.0f);
    score = __builtin_fmaf(difference, difference, score);
    a += take_a;
    b += take_b;
  }
  return score;
}

}  // namespace
}  // namespace simtile::kernels
