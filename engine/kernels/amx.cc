// AMX: the first look of a screen on the matrix unit, 32 x 32 pairs at a time, in bfloat16.
//
// Rows are rounded as bfloat16_rows.h says. A product of two bfloat16 values is exact in binary32 and is accumulated
// there, rounded to nearest, with results below 2^-126 taken for zero (Intel 64 and IA-32 Architectures Software
// Developer's Manual, TDPBF16PS): no more roundings than coordinates, as the screen's margin has it.
//
// A panel is 32 rows in blocks of 32 coordinates. Of each block, a query panel holds two tiles of 16 rows x 32
// coordinates; a base panel two tiles of 16 rows, coordinates two by two: (2k, 2k + 1) of all 16 rows, then the next
// two.
//
// Nothing from the standard library may be instantiated here: this file's flags must not leak into shared inline code.
#include <immintrin.h>

#include "engine/kernels/avx512_survivors.h"
#include "engine/kernels/bfloat16_rows.h"
#include "engine/kernels/tile_kernel.h"

namespace simtile::kernels {
namespace {

constexpr std::uint32_t kWidth = 32;
constexpr std::uint32_t kTileRows = 16;
constexpr std::uint32_t kBlockDims = 32;
constexpr std::uint32_t kTileElements = kTileRows * kBlockDims;
constexpr std::uint32_t kBlockElements = 2 * kTileElements;
constexpr std::uint32_t depth_of(std::uint32_t dims) {
  return (dims + kErrorDims + kBlockDims - 1) / kBlockDims * kBlockDims;
}

// Eight tiles of 16 rows x 64 bytes.
struct alignas(64) TileConfig {
  std::uint8_t palette = 1;
  std::uint8_t start_row = 0;
  std::uint8_t reserved[14] = {};
  std::uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  std::uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};
static_assert(sizeof(TileConfig) == 64);
constexpr TileConfig kTileConfig;

// Where the four tiles of a panel's scores come from, and where they go: row q begins at q * stride.
struct Sums {
  const float* from;  // null: zeros
  float* to;
  std::size_t stride = kWidth;
};

// Adds the products of the panels' rows over `blocks` blocks to the sums: of rows q and b at q * stride + b.
inline void multiply_blocks(const Bfloat16* query, const Bfloat16* base, std::uint32_t blocks, Sums sums) {
  constexpr std::size_t kTileStride = 64;
  const std::size_t stride_bytes = sums.stride * sizeof(float);
  const std::size_t below = kTileRows * sums.stride;
  if (sums.from == nullptr) {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
  } else {
    _tile_loadd(0, sums.from, stride_bytes);
    _tile_loadd(1, sums.from + kTileRows, stride_bytes);
    _tile_loadd(2, sums.from + below, stride_bytes);
    _tile_loadd(3, sums.from + below + kTileRows, stride_bytes);
  }
  for (std::uint32_t block = 0; block < blocks; ++block) {
    _tile_loadd(4, query, kTileStride);
    _tile_loadd(5, query + kTileElements, kTileStride);
    _tile_loadd(6, base, kTileStride);
    _tile_loadd(7, base + kTileElements, kTileStride);
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
    query += kBlockElements;
    base += kBlockElements;
  }
  _tile_stored(0, sums.to, stride_bytes);
  _tile_stored(1, sums.to + kTileRows, stride_bytes);
  _tile_stored(2, sums.to + below, stride_bytes);
  _tile_stored(3, sums.to + below + kTileRows, stride_bytes);
}

// A query panel of more blocks than the first-level cache holds would come from the second level again for each base
// panel: it is taken in parts, between which the sums wait in memory. Fewer blocks are done at once.
inline std::uint32_t blocks_of_a_part(std::uint32_t blocks) {
  constexpr std::uint32_t kMostAtOnce = 16;
  constexpr std::uint32_t kMostOfAPart = 9;
  if (blocks <= kMostAtOnce) return blocks;
  const std::uint32_t parts = (blocks + kMostOfAPart - 1) / kMostOfAPart;
  return (blocks + parts - 1) / parts;
}

// All parts but the last, for all base panels; returns how many blocks that were.
inline std::uint32_t multiply_first_parts(const Strip& strip, const Bfloat16* query, const Bfloat16* base,
                                          std::uint32_t blocks) {
  const std::uint32_t blocks_of_part = blocks_of_a_part(blocks);
  std::uint32_t done = 0;
  for (; blocks - done > blocks_of_part; done += blocks_of_part)
    for (std::uint32_t panel = 0; panel < strip.base_panel_count; ++panel) {
      float* sums = strip.partial_scores + std::size_t{panel} * kWidth * kWidth;
      multiply_blocks(query + std::size_t{done} * kBlockElements,
                      base + (std::size_t{panel} * blocks + done) * kBlockElements, blocks_of_part,
                      {done == 0 ? nullptr : sums, sums});
    }
  return done;
}

// A few pairs in a hundred survive: which rows hold one is gathered first, so that the branch is asked once a row.
template <typename Thresholds>
inline void emit_either(const float* scores, const Strip& strip, std::uint32_t column, Survivors& for_either) {
  std::uint32_t masks[kWidth];
  std::uint32_t rows_hit = 0;
#pragma GCC unroll 4
  for (std::uint32_t q = 0; q < kWidth; ++q) {
    masks[q] = 0;
#pragma GCC unroll 2
    for (std::uint32_t half = 0; half < 2; ++half) {
      const Bounds bounds = bounds_of<Thresholds>(strip, q, column + half * kLanes);
      const __m512 score = _mm512_load_ps(scores + q * kWidth + half * kLanes);
      const __mmask16 hit = Thresholds::passes(0xffff, score, Thresholds::weaker(bounds.for_query, bounds.for_base));
      masks[q] |= static_cast<std::uint32_t>(hit) << (half * kLanes);
    }
    rows_hit |= static_cast<std::uint32_t>(masks[q] != 0) << q;
  }
  if (strip.query_rows < kWidth) rows_hit &= (1u << strip.query_rows) - 1u;
  append_rows(masks, rows_hit, scores, kWidth, strip, column, for_either);
}

template <typename Thresholds>
void screen_strip(const Strip& strip, Survivors& for_either) {
  const auto* query = reinterpret_cast<const Bfloat16*>(strip.query_panel);
  const auto* base = reinterpret_cast<const Bfloat16*>(strip.base_panels);
  const std::uint32_t blocks = depth_of(strip.dims) / kBlockDims;
  alignas(64) float scores[kWidth * kWidth];
  _tile_loadconfig(&kTileConfig);
  const std::uint32_t done = multiply_first_parts(strip, query, base, blocks);
  for (std::uint32_t panel = 0; panel < strip.base_panel_count; ++panel) {
    const float* sums = done == 0 ? nullptr : strip.partial_scores + std::size_t{panel} * kWidth * kWidth;
    multiply_blocks(query + std::size_t{done} * kBlockElements,
                    base + (std::size_t{panel} * blocks + done) * kBlockElements, blocks - done, {sums, scores});
    emit_either<Thresholds>(scores, strip, panel * kWidth, for_either);
  }
  _tile_release();
}

void store_bounds(const Strip& strip, float* scores, std::size_t stride) {
  const auto* query = reinterpret_cast<const Bfloat16*>(strip.query_panel);
  const auto* base = reinterpret_cast<const Bfloat16*>(strip.base_panels);
  const std::uint32_t blocks = depth_of(strip.dims) / kBlockDims;
  const std::uint32_t blocks_of_part = blocks_of_a_part(blocks);
  _tile_loadconfig(&kTileConfig);
  for (std::uint32_t done = 0; done < blocks; done += blocks_of_part)
    for (std::uint32_t panel = 0; panel < strip.base_panel_count; ++panel) {
      float* sums = scores + std::size_t{panel} * kWidth;
      multiply_blocks(
          query + std::size_t{done} * kBlockElements, base + (std::size_t{panel} * blocks + done) * kBlockElements,
          blocks - done < blocks_of_part ? blocks - done : blocks_of_part, {done == 0 ? nullptr : sums, sums, stride});
    }
  _tile_release();
}

// Where the coordinates of a row stand, from its first on, and how sixteen of them from a multiple of sixteen on are
// put there.
struct QueryLayout {
  static constexpr std::uint32_t kRows = kWidth;
  static inline std::size_t at(std::uint32_t row, std::uint32_t dim) {
    return std::size_t{dim / kBlockDims} * kBlockElements + row / kTileRows * kTileElements +
           row % kTileRows * kBlockDims + dim % kBlockDims;
  }
  static inline void store(__m256i coordinates, std::uint32_t row, std::uint32_t dim, std::uint32_t /*depth*/,
                           Bfloat16* panel) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(panel + at(row, dim)), coordinates);
  }
};
struct BaseLayout {
  static constexpr std::uint32_t kRows = kWidth;
  static inline std::size_t at(std::uint32_t row, std::uint32_t dim) {
    return std::size_t{dim / kBlockDims} * kBlockElements + row / kTileRows * kTileElements +
           dim % kBlockDims / 2 * kBlockDims + row % kTileRows * 2 + dim % 2;
  }
  static inline void store(__m256i coordinates, std::uint32_t row, std::uint32_t dim, std::uint32_t /*depth*/,
                           Bfloat16* panel) {
    alignas(32) std::uint32_t pairs[kLanes / 2];
    _mm256_store_si256(reinterpret_cast<__m256i*>(pairs), coordinates);
    Bfloat16* out = panel + at(row, dim);
    for (std::uint32_t i = 0; i < kLanes / 2; ++i) __builtin_memcpy(out + i * kBlockDims, pairs + i, sizeof pairs[i]);
  }
};

void pack_query_panel(const float* values, std::size_t row_stride, std::uint32_t rows, std::uint32_t dims,
                      float* panel) {
  pack_query_rows<QueryLayout>(values, row_stride, rows, dims, depth_of(dims), panel);
}

void pack_base_panel(const float* values, std::size_t row_stride, std::uint32_t rows, std::uint32_t dims,
                     float* panel) {
  pack_base_rows<BaseLayout>(values, row_stride, rows, dims, depth_of(dims), panel);
}

std::size_t floats_of_row(std::uint32_t dims) { return depth_of(dims) * sizeof(Bfloat16) / sizeof(float); }

}  // namespace

const ScreenKernel kAmxScreen{
    .name = "amx",
    .query_width = kWidth,
    .base_width = kWidth,
    .looseness = kBfloat16Looseness,
    .speedup = 7.0,
    .ns_per_dim = 0.0018,
    .ns_per_pair = 0.12,
    .stops_early = false,
    .floats_of_row = floats_of_row,
    .pack_query_panel = pack_query_panel,
    .pack_base_panel = pack_base_panel,
    .inner_product = screen_strip<ProductThresholds>,
    .squared_l2 = screen_strip<SummedThresholds>,
    .store_bounds = store_bounds,
};

}  // namespace simtile::kernels
