// Rows of floats, of whatever width, that meet up to four queries at once: eight dimensions in a vector, a cache line
// of a row in a step. Internal linkage, as in avx2_survivors.h: for files that are compiled for AVX2, FMA and F16C.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "engine/kernels/avx2_stored_rows.h"

namespace simtile::kernels {
namespace {

constexpr std::uint32_t kFloatLanes = 8;

// How elements are stored: eight of them as floats, and one; the bits of eight magnitudes, in the order of their sizes.
struct F32 {
  static constexpr bool kIsInteger = false;
  static constexpr std::size_t kBytes = 4;
  static constexpr bool kHasMagnitudes = false;
  static inline __m256 values(const std::byte* at) { return _mm256_loadu_ps(reinterpret_cast<const float*>(at)); }
  static inline float value(const std::byte* at) {
    float value;
    __builtin_memcpy(&value, at, sizeof value);
    return value;
  }
};
struct HalfWidth {
  static constexpr bool kIsInteger = false;
  static constexpr std::size_t kBytes = 2;
  static constexpr bool kHasMagnitudes = true;
  static inline __m128i bits(const std::byte* at) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(at)); }
  static inline std::uint16_t bits_of_one(const std::byte* at) {
    std::uint16_t bits;
    __builtin_memcpy(&bits, at, sizeof bits);
    return bits;
  }
};
struct F16 : HalfWidth {
  static inline __m256 values(const std::byte* at) { return _mm256_cvtph_ps(bits(at)); }
  static inline float value_of(std::uint16_t bits) { return _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(bits))); }
  static inline float value(const std::byte* at) { return value_of(bits_of_one(at)); }
};
struct BF16 : HalfWidth {
  static inline __m256 values(const std::byte* at) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits(at)), 16));
  }
  static inline float value_of(std::uint16_t bits) {
    return _mm_cvtss_f32(_mm_castsi128_ps(_mm_cvtsi32_si128(static_cast<int>(std::uint32_t{bits} << 16))));
  }
  static inline float value(const std::byte* at) { return value_of(bits_of_one(at)); }
};

template <typename Element, RowSquare kSquare, std::uint32_t kChains>
class SquareOfRow {
 public:
  inline __attribute__((always_inline)) void clear() {
#pragma GCC unroll 4
    for (std::uint32_t c = 0; c < kChains; ++c) sums_[c] = _mm256_setzero_ps();
    largest_ = _mm_setzero_si128();
  }
  inline __attribute__((always_inline)) void add(const std::byte* at, __m256 values, std::uint32_t chain) {
    if constexpr (kBounds)
      largest_ = _mm_max_epu16(largest_, _mm_and_si128(Element::bits(at), _mm_set1_epi16(kMagnitude)));
    else if constexpr (kSquare != RowSquare::kNone)
      sums_[chain] = _mm256_fmadd_ps(values, values, sums_[chain]);
  }
  // With the elements [first, dims) that fill no vector.
  inline __attribute__((always_inline)) float finish(const std::byte* row, std::uint32_t first, std::uint32_t dims) {
    if constexpr (kBounds) {
      std::uint32_t largest = largest_lane();
      for (std::uint32_t d = first; d < dims; ++d) {
        const std::uint32_t bits = Element::bits_of_one(row + d * Element::kBytes) & kMagnitude;
        largest = bits > largest ? bits : largest;
      }
      const float value = Element::value_of(static_cast<std::uint16_t>(largest));
      return static_cast<float>(dims) * value * value;
    }
#pragma GCC unroll 4
    for (std::uint32_t c = 1; c < kChains; ++c) sums_[0] = _mm256_add_ps(sums_[0], sums_[c]);
    float sum = sum_of_lanes(sums_[0]);
    for (std::uint32_t d = first; d < dims; ++d) {
      const float value = Element::value(row + d * Element::kBytes);
      sum = __builtin_fmaf(value, value, sum);
    }
    return sum;
  }

 private:
  static constexpr bool kBounds = kSquare == RowSquare::kBound && Element::kHasMagnitudes;
  static constexpr std::int16_t kMagnitude = 0x7fff;

  inline __attribute__((always_inline)) std::uint32_t largest_lane() const {
    // The smallest of their complements: there is an instruction for that.
    const __m128i complements = _mm_xor_si128(largest_, _mm_set1_epi16(-1));
    return 0xffffu & ~static_cast<std::uint32_t>(_mm_extract_epi16(_mm_minpos_epu16(complements), 0));
  }

  __m256 sums_[kChains];
  __m128i largest_;
};

// `base` is the last row again where there are fewer than kRows. kAhead: the rows come from memory.
template <typename Element, std::uint32_t kQueries, std::uint32_t kRows, RowSquare kSquare, bool kAhead>
requires(!Element::kIsInteger) inline void multiply_block(const StoredRows& rows, const std::byte* const (&base)[kRows],
                                                          std::uint32_t first_query, std::uint32_t first_row,
                                                          std::uint32_t row_count) {
  constexpr std::uint32_t kVectors = kLineBytes / (kFloatLanes * Element::kBytes);
  // As many sums in flight as cover the latency of a multiply-add.
  constexpr std::uint32_t kBlock = kQueries * kRows;
  constexpr std::uint32_t kChains = kBlock >= 3 ? 1 : kBlock == 2 ? 2 : kVectors;
  const float* query = rows.queries + std::size_t{first_query} * rows.dims;
  __m256 sums[kQueries][kRows][kChains];
  SquareOfRow<Element, kSquare, kChains> squares[kRows];
#pragma GCC unroll 2
  for (std::uint32_t r = 0; r < kRows; ++r) {
    squares[r].clear();
#pragma GCC unroll 4
    for (std::uint32_t q = 0; q < kQueries; ++q)
#pragma GCC unroll 4
      for (std::uint32_t c = 0; c < kChains; ++c) sums[q][r][c] = _mm256_setzero_ps();
  }
  const auto take_vector = [&](std::uint32_t d, std::uint32_t chain) __attribute__((always_inline)) {
    __m256 values[kRows];
#pragma GCC unroll 2
    for (std::uint32_t r = 0; r < kRows; ++r) {
      const std::byte* at = base[r] + d * Element::kBytes;
      values[r] = Element::values(at);
      squares[r].add(at, values[r], chain);
    }
#pragma GCC unroll 4
    for (std::uint32_t q = 0; q < kQueries; ++q) {
      const __m256 of_query = _mm256_loadu_ps(query + std::size_t{q} * rows.dims + d);
#pragma GCC unroll 2
      for (std::uint32_t r = 0; r < kRows; ++r)
        sums[q][r][chain] = _mm256_fmadd_ps(of_query, values[r], sums[q][r][chain]);
    }
  };
  std::uint32_t d = 0;
  for (; rows.dims - d >= kVectors * kFloatLanes; d += kVectors * kFloatLanes) {
    if constexpr (kAhead)
#pragma GCC unroll 2
      for (std::uint32_t r = 0; r < kRows; ++r)
        _mm_prefetch(reinterpret_cast<const char*>(base[r]) + d * Element::kBytes + kPrefetchBytes, _MM_HINT_T0);
#pragma GCC unroll 4
    for (std::uint32_t v = 0; v < kVectors; ++v) take_vector(d + v * kFloatLanes, v % kChains);
  }
  for (; rows.dims - d >= kFloatLanes; d += kFloatLanes) take_vector(d, 0);
  for (std::uint32_t r = 0; r < row_count; ++r) {
    if constexpr (kSquare != RowSquare::kNone) rows.squares[first_row + r] = squares[r].finish(base[r], d, rows.dims);
    for (std::uint32_t q = 0; q < kQueries; ++q) {
#pragma GCC unroll 4
      for (std::uint32_t c = 1; c < kChains; ++c) sums[q][r][0] = _mm256_add_ps(sums[q][r][0], sums[q][r][c]);
      float sum = sum_of_lanes(sums[q][r][0]);
      for (std::uint32_t rest = d; rest < rows.dims; ++rest)
        sum = __builtin_fmaf(query[std::size_t{q} * rows.dims + rest], Element::value(base[r] + rest * Element::kBytes),
                             sum);
      rows.products[std::size_t{first_query + q} * rows.base_count + first_row + r] = sum;
    }
  }
}

}  // namespace
}  // namespace simtile::kernels
