// Pruning by counting: looks for a key value with as many keys below it as are wanted, then keeps those in one pass.
//
// Why not a selection that moves keys (Hoare's): each of its passes reads back what the one before has just stored, at
// other offsets, and waits for those stores. Counting passes only read. The value is found by interpolation: beyond a
// threshold the number of scores falls about exponentially, so that keys are linear in its logarithm, and one or two
// passes are the rule. A bisection every third step bounds their number whatever the keys are.
//
// `Lanes` is a type with internal linkage in the file that includes this: one instruction set's loops over keys. That
// keeps each instantiation in the file whose flags it was compiled with.
#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/kernels/tile_kernel.h"

namespace simtile::kernels {

// A float's bits are a piecewise linear logarithm of it, in steps of 2^-23 octaves; here of a count, 0 as one half.
static inline double logarithm(float count) { return __builtin_bit_cast(std::uint32_t, count < 0.5f ? 0.5f : count); }

// Lanes::range(keys, count, &smallest, &largest)
// Lanes::count_below(keys, count, pivot)
// Lanes::keep_below(keys, count, pivot)   moves the keys below the pivot to the front, in order
template <typename Lanes>
Pruned prune_by_counting(std::uint64_t* keys, std::size_t count, std::size_t least, std::size_t most) {
  // Always: fewer than `least` keys are below `low`, more than `most` below `high`.
  std::uint64_t low = 0;
  std::uint64_t high = 0;
  Lanes::range(keys, count, &low, &high);
  ++high;
  std::size_t below_low = 0;
  std::size_t below_high = count;
  const double wanted = logarithm(0.5f * static_cast<float>(least + most));
  for (unsigned step = 1; high - low > 1; ++step) {
    const double log_low = logarithm(static_cast<float>(below_low));
    const double log_high = logarithm(static_cast<float>(below_high));
    const double share = step % 3 == 0 ? 0.5 : (wanted - log_low) / (log_high - log_low);
    std::uint64_t pivot = low + static_cast<std::uint64_t>(share * static_cast<double>(high - low));
    if (pivot <= low) pivot = low + 1;
    if (pivot >= high) pivot = high - 1;
    const std::size_t below = Lanes::count_below(keys, count, pivot);
    if (below < least) {
      low = pivot;
      below_low = below;
    } else if (below > most) {
      high = pivot;
      below_high = below;
    } else {
      Lanes::keep_below(keys, count, pivot);
      return {below, pivot};
    }
  }
  // Only equal keys stand between too few and too many: any of them will do.
  Lanes::keep_below(keys, count, low);
  for (std::size_t i = below_low; i < least; ++i) keys[i] = low;
  return {least, high};
}

}  // namespace simtile::kernels
