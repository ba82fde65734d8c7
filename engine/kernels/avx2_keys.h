// Counting and keeping keys below a pivot, four at a time: what prune_keys.h asks of an instruction set.
// Internal linkage, as in avx2_survivors.h: for files that are compiled for AVX2.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "engine/kernels/unwatched.h"

namespace simtile::kernels {
namespace {

// AVX2 compares signed integers: flipping the top bit makes that the order of unsigned ones.
struct KeyLanes {
  static constexpr std::uint64_t kTopBit = std::uint64_t{1} << 63;

  SIMTILE_UNWATCHED static inline void range(const std::uint64_t* keys, std::size_t count, std::uint64_t* smallest,
                                             std::uint64_t* largest) {
    std::uint64_t low = keys[0];
    std::uint64_t high = keys[0];
    for (std::size_t i = 1; i < count; ++i) {
      low = keys[i] < low ? keys[i] : low;
      high = keys[i] > high ? keys[i] : high;
    }
    *smallest = low;
    *largest = high;
  }

  SIMTILE_UNWATCHED static inline std::size_t count_below(const std::uint64_t* keys, std::size_t count,
                                                          std::uint64_t pivot) {
    const __m256i top_bit = _mm256_set1_epi64x(static_cast<long long>(kTopBit));
    const __m256i pivots = _mm256_set1_epi64x(static_cast<long long>(pivot ^ kTopBit));
    __m256i minus_below = _mm256_setzero_si256();
    std::size_t i = 0;
    for (; i + 4 <= count; i += 4) {
      const __m256i batch = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(keys + i));
      minus_below = _mm256_add_epi64(minus_below, _mm256_cmpgt_epi64(pivots, _mm256_xor_si256(batch, top_bit)));
    }
    alignas(32) std::int64_t lanes[4];
    _mm256_store_si256(reinterpret_cast<__m256i*>(lanes), minus_below);
    auto below = static_cast<std::size_t>(-(lanes[0] + lanes[1] + lanes[2] + lanes[3]));
    for (; i < count; ++i) below += keys[i] < pivot;
    return below;
  }

  static inline void keep_below(std::uint64_t* keys, std::size_t count, std::uint64_t pivot) {
    std::size_t front = 0;
    for (std::size_t i = 0; i < count; ++i) {
      const std::uint64_t key = keys[i];
      keys[front] = key;
      front += key < pivot;
    }
  }
};

}  // namespace
}  // namespace simtile::kernels
