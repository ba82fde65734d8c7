// AVX2, FMA and F16C: two base rows meet up to four queries at once, eight dimensions in a vector. Eight sums of
// products and two of squares, beside the values themselves, fill the registers. Nothing from the standard library may
// be instantiated here: this file's flags must not leak into shared inline code.
#include <immintrin.h>

#include "engine/kernels/avx2_sum.h"
#include "engine/kernels/stored_rows.h"

namespace simtile::kernels {
namespace {

constexpr std::uint32_t kLanes = 8;
constexpr std::uint32_t kQueriesAtOnce = 4;
constexpr std::uint32_t kRows = 2;

// How elements are stored: eight of them as floats, and one.
struct F32 {
  static constexpr std::size_t kBytes = 4;
  static inline __m256 values(const std::byte* at) { return _mm256_loadu_ps(reinterpret_cast<const float*>(at)); }
  static inline float value(const std::byte* at) {
    float value;
    __builtin_memcpy(&value, at, sizeof value);
    return value;
  }
};
struct F16 {
  static constexpr std::size_t kBytes = 2;
  static inline __m256 values(const std::byte* at) {
    return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(at)));
  }
  static inline float value(const std::byte* at) {
    std::uint16_t bits;
    __builtin_memcpy(&bits, at, sizeof bits);
    return _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(bits)));
  }
};
struct BF16 {
  static constexpr std::size_t kBytes = 2;
  static inline __m256 values(const std::byte* at) {
    const __m256i bits = _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(at)));
    return _mm256_castsi256_ps(_mm256_slli_epi32(bits, 16));
  }
  static inline float value(const std::byte* at) {
    std::uint16_t bits;
    __builtin_memcpy(&bits, at, sizeof bits);
    return _mm_cvtss_f32(_mm_castsi128_ps(_mm_cvtsi32_si128(static_cast<int>(std::uint32_t{bits} << 16))));
  }
};
struct I8 {
  static constexpr std::size_t kBytes = 1;
  static inline __m256 values(const std::byte* at) {
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(at))));
  }
  static inline float value(const std::byte* at) { return static_cast<float>(static_cast<std::int8_t>(*at)); }
};
struct U8 {
  static constexpr std::size_t kBytes = 1;
  static inline __m256 values(const std::byte* at) {
    return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(at))));
  }
  static inline float value(const std::byte* at) { return static_cast<float>(static_cast<std::uint8_t>(*at)); }
};

// `base` is one row twice where there is no second one.
template <typename Element, std::uint32_t kQueries, bool kWithSquares>
inline void multiply_block(const StoredRows& rows, const std::byte* const (&base)[kRows], std::uint32_t first_query,
                           std::uint32_t first_row, std::uint32_t row_count) {
  const float* query = rows.queries + std::size_t{first_query} * rows.dims;
  __m256 sums[kQueries][kRows];
  __m256 squares[kRows];
#pragma GCC unroll 2
  for (std::uint32_t r = 0; r < kRows; ++r) {
    squares[r] = _mm256_setzero_ps();
#pragma GCC unroll 4
    for (std::uint32_t q = 0; q < kQueries; ++q) sums[q][r] = _mm256_setzero_ps();
  }
  std::uint32_t d = 0;
  for (; d + kLanes <= rows.dims; d += kLanes) {
    __m256 values[kRows];
#pragma GCC unroll 2
    for (std::uint32_t r = 0; r < kRows; ++r) {
      values[r] = Element::values(base[r] + d * Element::kBytes);
      if (kWithSquares) squares[r] = _mm256_fmadd_ps(values[r], values[r], squares[r]);
    }
#pragma GCC unroll 4
    for (std::uint32_t q = 0; q < kQueries; ++q) {
      const __m256 of_query = _mm256_loadu_ps(query + std::size_t{q} * rows.dims + d);
#pragma GCC unroll 2
      for (std::uint32_t r = 0; r < kRows; ++r) sums[q][r] = _mm256_fmadd_ps(of_query, values[r], sums[q][r]);
    }
  }
  for (std::uint32_t r = 0; r < row_count; ++r) {
    const auto with_the_rest = [&](__m256 lanes, const float* left) __attribute__((always_inline)) {
      float sum = sum_of_lanes(lanes);
      for (std::uint32_t rest = d; rest < rows.dims; ++rest) {
        const float value = Element::value(base[r] + rest * Element::kBytes);
        sum = __builtin_fmaf(left != nullptr ? left[rest] : value, value, sum);
      }
      return sum;
    };
    if (kWithSquares) rows.squares[first_row + r] = with_the_rest(squares[r], nullptr);
    for (std::uint32_t q = 0; q < kQueries; ++q)
      rows.products[std::size_t{first_query + q} * rows.base_count + first_row + r] =
          with_the_rest(sums[q][r], query + std::size_t{q} * rows.dims);
  }
}

template <typename Element, std::uint32_t kQueries, bool kWithSquares>
void multiply_rows(const StoredRows& rows, std::uint32_t first_query) {
  for (std::uint32_t row = 0; row < rows.base_count; row += kRows) {
    const std::uint32_t count = rows.base_count - row < kRows ? rows.base_count - row : kRows;
    const std::byte* const base[kRows] = {rows.base_rows + row * rows.base_row_stride,
                                          rows.base_rows + (row + count - 1) * rows.base_row_stride};
    multiply_block<Element, kQueries, kWithSquares>(rows, base, first_query, row, count);
  }
}

template <typename Element, bool kWithSquares>
void multiply_last(const StoredRows& rows, std::uint32_t first_query) {
  switch (rows.query_count - first_query) {
    case 1: return multiply_rows<Element, 1, kWithSquares>(rows, first_query);
    case 2: return multiply_rows<Element, 2, kWithSquares>(rows, first_query);
    case 3: return multiply_rows<Element, 3, kWithSquares>(rows, first_query);
    default: return;
  }
}

// Four queries stay in the first-level cache while base rows pass, from the second level but for the first time.
// Squares are taken along with the first queries.
template <typename Element>
void multiply(const StoredRows& rows) {
  if (rows.query_count < kQueriesAtOnce) return multiply_last<Element, true>(rows, 0);
  multiply_rows<Element, kQueriesAtOnce, true>(rows, 0);
  std::uint32_t query = kQueriesAtOnce;
  for (; query + kQueriesAtOnce <= rows.query_count; query += kQueriesAtOnce)
    multiply_rows<Element, kQueriesAtOnce, false>(rows, query);
  multiply_last<Element, false>(rows, query);
}

}  // namespace

const StoredRowsKernel kAvx2StoredRows{
    .f32 = multiply<F32>,
    .f16 = multiply<F16>,
    .bf16 = multiply<BF16>,
    .i8 = multiply<I8>,
    .u8 = multiply<U8>,
};

}  // namespace simtile::kernels
