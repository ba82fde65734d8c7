// Rows of 8-bit integers that meet up to four queries of 16-bit ones at once: sixteen dimensions in a vector, whose
// products are added in pairs, exactly. Internal linkage, as in avx2_survivors.h: for files that are compiled for AVX2.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "engine/kernels/avx2_stored_rows.h"

namespace simtile::kernels {
namespace {

constexpr std::uint32_t kIntegerLanes = 16;
// After so many dimensions sums become floats: 128 vectors of pairs of at most 2 x 255 x 32767 fit in 32 bits.
constexpr std::uint32_t kExactDims = 2048;

struct I8 {
  static constexpr bool kIsInteger = true;
  static constexpr float kLargestSquare = 128.0f * 128.0f;
  static inline __m256i values(const std::byte* at) {
    return _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(at)));
  }
  static inline std::int32_t value(const std::byte* at) { return static_cast<std::int8_t>(*at); }
};
struct U8 {
  static constexpr bool kIsInteger = true;
  static constexpr float kLargestSquare = 255.0f * 255.0f;
  static inline __m256i values(const std::byte* at) {
    return _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(at)));
  }
  static inline std::int32_t value(const std::byte* at) { return static_cast<std::uint8_t>(*at); }
};

// As that of floats.
template <typename Element, std::uint32_t kQueries, std::uint32_t kRows, RowSquare kSquare, bool kAhead>
requires(Element::kIsInteger) inline void multiply_block(const StoredRows& rows, const std::byte* const (&base)[kRows],
                                                         std::uint32_t first_query, std::uint32_t first_row,
                                                         std::uint32_t row_count) {
  constexpr bool kSums = kSquare == RowSquare::kSum;
  const std::int16_t* query = rows.integer_queries + std::size_t{first_query} * rows.dims;
  __m256 sums[kQueries][kRows], squares[kRows];
#pragma GCC unroll 2
  for (std::uint32_t r = 0; r < kRows; ++r) {
    squares[r] = _mm256_setzero_ps();
#pragma GCC unroll 4
    for (std::uint32_t q = 0; q < kQueries; ++q) sums[q][r] = _mm256_setzero_ps();
  }
  std::uint32_t d = 0;
  while (rows.dims - d >= kIntegerLanes) {
    __m256i exact[kQueries][kRows], exact_squares[kRows];
#pragma GCC unroll 2
    for (std::uint32_t r = 0; r < kRows; ++r) {
      exact_squares[r] = _mm256_setzero_si256();
#pragma GCC unroll 4
      for (std::uint32_t q = 0; q < kQueries; ++q) exact[q][r] = _mm256_setzero_si256();
    }
    const std::uint32_t end = rows.dims - d < kExactDims ? rows.dims : d + kExactDims;
    const auto take_vector = [&](std::uint32_t at) __attribute__((always_inline)) {
      __m256i values[kRows];
#pragma GCC unroll 2
      for (std::uint32_t r = 0; r < kRows; ++r) {
        values[r] = Element::values(base[r] + at);
        if constexpr (kSums)
          exact_squares[r] = _mm256_add_epi32(exact_squares[r], _mm256_madd_epi16(values[r], values[r]));
      }
#pragma GCC unroll 4
      for (std::uint32_t q = 0; q < kQueries; ++q) {
        const __m256i of_query =
            _mm256_loadu_si256(reinterpret_cast<const __m256i*>(query + std::size_t{q} * rows.dims + at));
#pragma GCC unroll 2
        for (std::uint32_t r = 0; r < kRows; ++r)
          exact[q][r] = _mm256_add_epi32(exact[q][r], _mm256_madd_epi16(of_query, values[r]));
      }
    };
    for (; end - d >= kLineBytes; d += kLineBytes) {
      if constexpr (kAhead)
#pragma GCC unroll 2
        for (std::uint32_t r = 0; r < kRows; ++r)
          _mm_prefetch(reinterpret_cast<const char*>(base[r]) + d + kPrefetchBytes, _MM_HINT_T0);
#pragma GCC unroll 4
      for (std::uint32_t v = 0; v < kLineBytes; v += kIntegerLanes) take_vector(d + v);
    }
    for (; end - d >= kIntegerLanes; d += kIntegerLanes) take_vector(d);
#pragma GCC unroll 2
    for (std::uint32_t r = 0; r < kRows; ++r) {
      if constexpr (kSums) squares[r] = _mm256_add_ps(squares[r], _mm256_cvtepi32_ps(exact_squares[r]));
#pragma GCC unroll 4
      for (std::uint32_t q = 0; q < kQueries; ++q)
        sums[q][r] = _mm256_add_ps(sums[q][r], _mm256_cvtepi32_ps(exact[q][r]));
    }
  }
  for (std::uint32_t r = 0; r < row_count; ++r) {
    if constexpr (kSquare == RowSquare::kBound)
      rows.squares[first_row + r] = static_cast<float>(rows.dims) * Element::kLargestSquare;
    if constexpr (kSums) {
      std::int32_t left = 0;
      for (std::uint32_t rest = d; rest < rows.dims; ++rest)
        left += Element::value(base[r] + rest) * Element::value(base[r] + rest);
      rows.squares[first_row + r] = sum_of_lanes(squares[r]) + static_cast<float>(left);
    }
    for (std::uint32_t q = 0; q < kQueries; ++q) {
      std::int32_t left = 0;
      for (std::uint32_t rest = d; rest < rows.dims; ++rest)
        left += query[std::size_t{q} * rows.dims + rest] * Element::value(base[r] + rest);
      rows.products[std::size_t{first_query + q} * rows.base_count + first_row + r] =
          sum_of_lanes(sums[q][r]) + static_cast<float>(left);
    }
  }
}

}  // namespace
}  // namespace simtile::kernels
