// Counting and keeping keys below a pivot, eight at a time: what prune_keys.h asks of an instruction set.
// Internal linkage, as in avx512_survivors.h: for files that are compiled for AVX-512.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "engine/kernels/unwatched.h"

namespace simtile::kernels {
namespace {

struct KeyLanes {
  static inline __attribute__((always_inline)) __mmask8 valid(std::size_t left) {
    return static_cast<__mmask8>(left >= 8 ? 0xffu : (1u << left) - 1u);
  }

  SIMTILE_UNWATCHED static inline void range(const std::uint64_t* keys, std::size_t count, std::uint64_t* smallest,
                                             std::uint64_t* largest) {
    __m512i low = _mm512_set1_epi64(-1);
    __m512i high = _mm512_setzero_si512();
    for (std::size_t i = 0; i < count; i += 8) {
      const __mmask8 lanes = valid(count - i);
      const __m512i batch = _mm512_maskz_loadu_epi64(lanes, keys + i);
      low = _mm512_mask_min_epu64(low, lanes, low, batch);
      high = _mm512_max_epu64(high, batch);
    }
    *smallest = _mm512_reduce_min_epu64(low);
    *largest = _mm512_reduce_max_epu64(high);
  }

  SIMTILE_UNWATCHED static inline std::size_t count_below(const std::uint64_t* keys, std::size_t count,
                                                          std::uint64_t pivot) {
    const __m512i pivots = _mm512_set1_epi64(static_cast<long long>(pivot));
    const __m512i one = _mm512_set1_epi64(1);
    __m512i below = _mm512_setzero_si512();
    std::size_t i = 0;
    for (; i + 8 <= count; i += 8) {
      const __mmask8 smaller = _mm512_cmplt_epu64_mask(_mm512_loadu_si512(keys + i), pivots);
      below = _mm512_mask_add_epi64(below, smaller, below, one);
    }
    const __mmask8 lanes = valid(count - i);
    const __mmask8 smaller = _mm512_mask_cmplt_epu64_mask(lanes, _mm512_maskz_loadu_epi64(lanes, keys + i), pivots);
    below = _mm512_mask_add_epi64(below, smaller, below, one);
    return static_cast<std::size_t>(_mm512_reduce_add_epi64(below));
  }

  // Whole-register stores at the front never reach the keys that are still to be read, but for the last batch.
  static inline void keep_below(std::uint64_t* keys, std::size_t count, std::uint64_t pivot) {
    const __m512i pivots = _mm512_set1_epi64(static_cast<long long>(pivot));
    std::size_t front = 0;
    std::size_t i = 0;
    for (; i + 8 <= count; i += 8) {
      const __m512i batch = _mm512_loadu_si512(keys + i);
      const __mmask8 smaller = _mm512_cmplt_epu64_mask(batch, pivots);
      _mm512_storeu_si512(keys + front, _mm512_maskz_compress_epi64(smaller, batch));
      front += static_cast<std::size_t>(__builtin_popcount(smaller));
    }
    const __mmask8 lanes = valid(count - i);
    const __m512i batch = _mm512_maskz_loadu_epi64(lanes, keys + i);
    _mm512_mask_compressstoreu_epi64(keys + front, _mm512_mask_cmplt_epu64_mask(lanes, batch, pivots), batch);
  }
};

}  // namespace
}  // namespace simtile::kernels
