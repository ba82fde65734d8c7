// AVX-512 with bfloat16: the first look of a screen at twice the speed of binary32, where there is no matrix unit.
//
// Rows are rounded as bfloat16_rows.h says; a float of a panel is two coordinates of a row. One VDPBF16PS multiplies
// two by two and adds both products, exact in binary32 each, rounded to nearest, with what is below 2^-126 taken for
// zero (Intel 64 and IA-32 Architectures Software Developer's Manual): no more roundings than coordinates, as the
// screen's margin has it.
//
// Nothing from the standard library may be instantiated here: this file's flags must not leak into shared inline code.
#include <immintrin.h>

#include "engine/kernels/avx512_blocks.h"
#include "engine/kernels/bfloat16_rows.h"
#include "engine/kernels/tile_kernel.h"

namespace simtile::kernels {
namespace {

template <typename Thresholds>
struct Bfloat16Product : Thresholds {
  static inline __attribute__((always_inline)) __m512 step(__m512 query, __m512 base, __m512 score) {
    return _mm512_dpbf16_ps(score, reinterpret_cast<__m512bh>(query), reinterpret_cast<__m512bh>(base));
  }
};

constexpr std::uint32_t steps_of(std::uint32_t dims) { return (dims + kErrorDims + 1) / 2; }

std::size_t floats_of_row(std::uint32_t dims) { return steps_of(dims); }

template <typename Thresholds>
SIMTILE_UNWATCHED void screen_strip(const Strip& strip, Survivors& for_either) {
  using Metric = Bfloat16Product<Thresholds>;
  for_each_block<Metric>(
      strip, steps_of(strip.dims), [&](const Block& block, std::uint32_t column) __attribute__((always_inline)) {
        emit_either<Metric>(block, strip, column, for_either);
      });
}

void store_bounds(const Strip& strip, float* scores, std::size_t stride) {
  for_each_block<Bfloat16Product<ProductThresholds>>(
      strip, steps_of(strip.dims), [&](const Block& block, std::uint32_t column) __attribute__((always_inline)) {
        store_scores(block, strip, scores + column, stride);
      });
}

// Where the coordinates of a row stand in a panel of kWidth rows, and how sixteen of them, or those before `depth`, are
// put there from an even one on.
template <std::uint32_t kWidth>
struct PairLayout {
  static constexpr std::uint32_t kRows = kWidth;
  static inline std::size_t at(std::uint32_t row, std::uint32_t dim) {
    return (std::size_t{dim / 2} * kWidth + row) * 2 + dim % 2;
  }
  static inline void store(__m256i coordinates, std::uint32_t row, std::uint32_t dim, std::uint32_t depth,
                           Bfloat16* panel) {
    alignas(32) std::uint32_t pairs[kLanes / 2];
    _mm256_store_si256(reinterpret_cast<__m256i*>(pairs), coordinates);
    Bfloat16* out = panel + at(row, dim);
    const std::uint32_t count = depth - dim < kLanes ? (depth - dim) / 2 : kLanes / 2;
    for (std::uint32_t i = 0; i < count; ++i) __builtin_memcpy(out + i * kWidth * 2, pairs + i, sizeof pairs[i]);
  }
};

void pack_query_panel(const float* values, std::size_t row_stride, std::uint32_t rows, std::uint32_t dims,
                      float* panel) {
  pack_query_rows<PairLayout<kQueryWidth>>(values, row_stride, rows, dims, 2 * steps_of(dims), panel);
}

void pack_base_panel(const float* values, std::size_t row_stride, std::uint32_t rows, std::uint32_t dims,
                     float* panel) {
  pack_base_rows<PairLayout<kBaseWidth>>(values, row_stride, rows, dims, 2 * steps_of(dims), panel);
}

}  // namespace

const ScreenKernel kAvx512Bf16Screen{
    .name = "avx512_bf16",
    .query_width = kQueryWidth,
    .base_width = kBaseWidth,
    .looseness = kBfloat16Looseness,
    .speedup = 2.0,
    .ns_per_dim = 0.0075,
    .ns_per_pair = 0.05,
    .stops_early = false,
    .floats_of_row = floats_of_row,
    .pack_query_panel = pack_query_panel,
    .pack_base_panel = pack_base_panel,
    .inner_product = screen_strip<ProductThresholds>,
    .squared_l2 = screen_strip<SummedThresholds>,
    .store_bounds = store_bounds,
};

}  // namespace simtile::kernels
