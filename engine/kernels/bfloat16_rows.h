// Rows rounded to bfloat16 (8 bits of precision), which loses up to a 256th of a coordinate. What is lost is known, so
// a bound can make up for it: with x = x' + e and y = y' + f, x' and y' rounded,
//
//   x.y = x'.y' + e.y + x'.f <= x'.y' + |e| |y| + |x'| |f|.
//
// Two more coordinates hold these norms, rounded up: (|e|, |x'|) in query rows, (|y|, |f|) in base rows. |e| is about
// 0.0016 |x|, so bounds are too high by about 0.0033 |x| |y|.
//
// Internal linkage, as in avx512_survivors.h: for files that are compiled for AVX-512.
#pragma once

#include <immintrin.h>

#include "engine/kernels/avx512_survivors.h"

namespace simtile::kernels {
namespace {

using Bfloat16 = std::uint16_t;

constexpr std::uint32_t kErrorDims = 2;
constexpr double kBfloat16Looseness = 0.0033;

// To the nearest bfloat16, ties to even, in the upper halves of the lanes; what would be subnormal becomes zero, as the
// matrix unit would take it.
inline __m512i round_to_bfloat16(__m512 values) {
  const __m512i bits = _mm512_castps_si512(values);
  const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
  const __m512i rounded = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
  const __mmask16 normal = _mm512_test_epi32_mask(rounded, _mm512_set1_epi32(0x7f800000));
  return _mm512_maskz_and_epi32(normal, rounded, _mm512_set1_epi32(static_cast<int>(0xffff0000u)));
}

// A bfloat16 that is not below a norm, for all the rounding of its sum and of terms too small for it.
inline Bfloat16 norm_above(float squares) {
  constexpr float kSummed = 1.0f + 0x1p-10f;
  constexpr float kVanished = 1e-20f;
  const float norm = _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(squares))) * kSummed + kVanished;
  return static_cast<Bfloat16>(
      (static_cast<std::uint32_t>(_mm_cvtsi128_si32(_mm_castps_si128(_mm_set_ss(norm)))) >> 16) + 1);
}

// Sums of squares over a row: of its values, of their rounded selves, of what rounding lost.
struct RowSquares {
  float exact, rounded, lost;
};

template <typename Layout>
inline RowSquares pack_row(const float* values, std::uint32_t dims, std::uint32_t depth, std::uint32_t row,
                           Bfloat16* panel) {
  __m512 exact = _mm512_setzero_ps();
  __m512 rounded = _mm512_setzero_ps();
  __m512 lost = _mm512_setzero_ps();
  for (std::uint32_t d = 0; d < depth; d += kLanes) {
    const std::uint32_t left = d < dims ? dims - d : 0;
    const auto lanes = static_cast<__mmask16>(left >= kLanes ? 0xffffu : (1u << left) - 1u);
    const __m512 value = _mm512_maskz_loadu_ps(lanes, values + d);
    const __m512i bits = round_to_bfloat16(value);
    const __m512 near = _mm512_castsi512_ps(bits);
    const __m512 difference = _mm512_sub_ps(value, near);
    exact = _mm512_fmadd_ps(value, value, exact);
    rounded = _mm512_fmadd_ps(near, near, rounded);
    lost = _mm512_fmadd_ps(difference, difference, lost);
    Layout::store(_mm512_cvtepi32_epi16(_mm512_srli_epi32(bits, 16)), row, d, depth, panel);
  }
  return {_mm512_reduce_add_ps(exact), _mm512_reduce_add_ps(rounded), _mm512_reduce_add_ps(lost)};
}

template <typename Layout>
inline void clear_rows(std::uint32_t first, std::uint32_t depth, Bfloat16* panel) {
  for (std::uint32_t row = first; row < Layout::kRows; ++row)
    for (std::uint32_t d = 0; d < depth; ++d) panel[Layout::at(row, d)] = 0;
}

// The panel of some rows: coordinates and norms, zeros up to `depth` and in the rows that are missing. A layout says
// where in it a row's coordinate stands.
template <typename Layout>
inline void pack_query_rows(const float* values, std::size_t row_stride, std::uint32_t rows, std::uint32_t dims,
                            std::uint32_t depth, float* panel) {
  auto* out = reinterpret_cast<Bfloat16*>(panel);
  for (std::uint32_t r = 0; r < rows; ++r) {
    const RowSquares squares = pack_row<Layout>(values + r * row_stride, dims, depth, r, out);
    out[Layout::at(r, dims)] = norm_above(squares.lost);
    out[Layout::at(r, dims + 1)] = norm_above(squares.rounded);
  }
  clear_rows<Layout>(rows, depth, out);
}

template <typename Layout>
inline void pack_base_rows(const float* values, std::size_t row_stride, std::uint32_t rows, std::uint32_t dims,
                           std::uint32_t depth, float* panel) {
  auto* out = reinterpret_cast<Bfloat16*>(panel);
  for (std::uint32_t r = 0; r < rows; ++r) {
    const RowSquares squares = pack_row<Layout>(values + r * row_stride, dims, depth, r, out);
    out[Layout::at(r, dims)] = norm_above(squares.exact);
    out[Layout::at(r, dims + 1)] = norm_above(squares.lost);
  }
  clear_rows<Layout>(rows, depth, out);
}

}  // namespace
}  // namespace simtile::kernels
