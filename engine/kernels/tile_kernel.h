// The contract between the engine and its kernels. Kernels hold no policy: pointers, widths and thresholds come in,
// survivors go out; edges are the kernel's job.
//
// The score of a pair is one chain of binary32 fused multiply-adds over the dimensions in ascending order from zero:
//   inner product  s = fma(q[d], b[d], s)
//   squared l2     t = q[d] - b[d];  s = fma(t, t, s)
// Kernels differ in how many pairs they carry at once, never in a pair's chain, so all agree to the bit. The scalar
// kernel is the definition; tests/tile_kernel_test.cc holds the others against it.
//
// A *panel* is `width` rows interleaved by dimension: panel[d * width + r]. A *strip* is one query panel against a
// row of base panels. A pair survives for its query row, its base row, or both, when its score is at least as good as
// that row's threshold:
//   inner product  score >= threshold
//   squared l2     score <= threshold
//   squared l2 by product   inner product >= a sum: query_threshold + base_offset for the query row, query_offset +
//                           base_threshold for the base row. The scores given are the products (join/l2_margin.h).
// A NaN score never survives, nor does any pair of a base row whose threshold is NaN (padding), on either side.
//
// Threads: kernels keep no state. This header is included by files compiled for one instruction set: it must define
// nothing inline that another file could share.
#pragma once

#include <cstddef>
#include <cstdint>

#include "simtile/types.h"

namespace simtile::kernels {

// A first look at pairs may end before the last dimension. A *stop* is a dimension of the panels that is no part of the
// pairs' sums: their products in it, added to the sums over the dimensions before it, other stops left out, bound the
// pairs' scores as well as the whole sums do. A block of pairs none of which passes with that ends there.
struct ScreenStops {
  static constexpr std::uint32_t kMost = 5;
  std::uint32_t count = 0;
  std::uint32_t dims[kMost] = {};   // ascending
  std::uint32_t tested = 0;         // a bit for each: whether blocks may end there
  std::uint64_t ended[kMost] = {};  // blocks that did; kernels add to it
  std::uint64_t blocks = 0;         // all blocks; likewise
};

struct Strip {
  const float* query_panel;       // dims x query_width
  const float* base_panels;       // base_panel_count panels of dims x base_width, one after the other
  const float* query_thresholds;  // query_width
  const float* base_thresholds;   // base_panel_count x base_width
  float* partial_scores;          // scratch: query_width x base_panel_count x base_width
  std::uint32_t dims;
  std::uint32_t query_rows;  // rows of the query panel that exist, 1 to query_width
  std::uint32_t base_panel_count;
  std::uint32_t first_pair;              // the pair number of (first query row, first base row)
  const float* query_offsets = nullptr;  // squared_l2_by_product alone: query_width
  const float* base_offsets = nullptr;  // squared_l2_by_product alone: base_panel_count x base_width, NaN where padding
  ScreenStops* stops = nullptr;         // ScreenKernel alone, those that stop early; dims counts them in
};

// A survivor's pair number is first_pair + (query row in the strip << 16) + base row in the strip.
inline constexpr std::uint32_t kQueryShift = 16;
inline constexpr std::uint32_t kColumnMask = (1u << kQueryShift) - 1;

// A list that kernels append to. It has room for every pair of the strip plus kSurvivorSlack beyond `count`.
struct Survivors {
  float* scores;
  std::uint32_t* pairs;
  std::uint32_t count;
};
inline constexpr std::uint32_t kSurvivorSlack = 16;

using ScoreStrip = void (*)(const Strip& strip, Survivors& for_queries, Survivors& for_bases);
// The same, for a first look at pairs that are asked about again: one list, of what survives for either side.
using ScreenStrip = void (*)(const Strip& strip, Survivors& for_either);

// scores[q * stride + b] = the inner product of the strip's rows q and b, padding columns included; no thresholds.
using StoreStrip = void (*)(const Strip& strip, float* scores, std::size_t stride);

// scores[i] = the score of the pair numbered pairs[i], (query row << 16) + base row. The rows lie in consecutive
// panels, or one after the other.
using RescorePairs = void (*)(const float* queries, const float* bases, std::uint32_t dims, const std::uint32_t* pairs,
                              std::uint32_t count, float* scores);

// scores[i] += factors[base row] * the inner product of the rows of pair pairs[i], summed in any order: for bounds,
// never for scores.
struct PairProducts {
  const float* queries;  // rows of dims, query_stride floats apart
  const float* bases;
  const float* factors;  // for each base row
  std::size_t query_stride;
  std::size_t base_stride;
  std::uint32_t dims;
};
using AddPairProducts = void (*)(const PairProducts& rows, const std::uint32_t* pairs, std::uint32_t count,
                                 float* scores);

// A few queries against base rows that are read where they lie, each once for all queries: nothing is packed but the
// queries, into panels of row_query_width. Bound by the speed of memory, not of arithmetic.
struct RowStrip {
  const float* query_panels;      // query_panel_count panels of dims x row_query_width, one after the other
  const float* base_rows;         // base_row_count rows of dims, base_stride floats apart
  const float* query_thresholds;  // query_panel_count x row_query_width; NaN for rows that do not exist
  std::size_t base_stride;
  std::uint32_t dims;
  std::uint32_t query_panel_count;
  std::uint32_t base_row_count;
  std::uint32_t first_pair;  // the pair number of (first query row, first base row)
};
// Kernels work on so many base rows at a time.
inline constexpr std::uint32_t kRowsAtOnce = 8;
using ScoreRows = void (*)(const RowStrip& strip, Survivors& for_queries);

// Interleaves `rows` rows (rows <= width), row_stride floats apart, into a panel of dims x width; missing rows are
// zeros.
using PackPanel = void (*)(const float* values, std::size_t row_stride, std::uint32_t rows, std::uint32_t dims,
                           float* panel);

// The squared l2 chain over the ascending union of two sparse rows' columns.
using SparseSquaredL2 = float (*)(const std::uint32_t* a_columns, const float* a_values, std::size_t a_count,
                                  const std::uint32_t* b_columns, const float* b_values, std::size_t b_count);

// Moves the smallest keys of keys[0, count) to the front, in any order: at least `least` and at most `most` of them,
// 1 <= least <= most < count. What lies behind them is no longer meant. Some leeway spares passes over the keys.
// Keys are below 2^64 - 1 and distinct; of equal ones any may stay, and the bound may be theirs.
struct Pruned {
  std::size_t count;    // of the keys that were kept
  std::uint64_t bound;  // above all of them, and not above any other
};
using PruneKeys = Pruned (*)(std::uint64_t* keys, std::size_t count, std::size_t least, std::size_t most);

// The first look of a screen, which needs bounds, not scores: a pair's bound is at least the inner product of its rows
// as they were packed, but for the rounding of a chain of as many steps as there are dimensions, and exceeds it by
// about `looseness` times the product of their norms. Rows are packed as this kernel likes them, and a Strip's panels
// are of that kind: width x floats_of_row(dims) floats each.
struct ScreenKernel {
  const char* name;
  std::uint32_t query_width;
  std::uint32_t base_width;
  double looseness;    // 0: bounds are inner products
  double speedup;      // of a first look over the definition's kernel; 1 where there is none
  double ns_per_dim;   // of a pair, beside the other costs that tell whether a screen pays (screen/prediction.cc)
  double ns_per_pair;  // and what does not depend on the dimensions
  bool stops_early;    // whether it heeds Strip::stops
  std::size_t (*floats_of_row)(std::uint32_t dims);
  PackPanel pack_query_panel;
  PackPanel pack_base_panel;
  ScreenStrip inner_product;
  ScreenStrip squared_l2;  // by product
  // The bounds themselves; may write those of all query_width rows, whether they exist or not. Wants the strip's
  // partial_scores too.
  StoreStrip store_bounds;
};

struct TileKernel {
  Isa isa;
  std::uint32_t query_width;
  std::uint32_t base_width;
  ScoreStrip inner_product;
  ScoreStrip squared_l2;
  ScoreStrip squared_l2_by_product;
  ScreenKernel screen;
  StoreStrip store_inner_products;
  RescorePairs squared_l2_of_panel_pairs;
  RescorePairs inner_product_of_row_pairs;
  RescorePairs squared_l2_of_row_pairs;
  AddPairProducts add_pair_products;
  PackPanel pack_query_panel;
  PackPanel pack_base_panel;
  std::uint32_t row_query_width;
  ScoreRows inner_product_rows;
  ScoreRows squared_l2_rows;
  PackPanel pack_row_query_panel;
  SparseSquaredL2 sparse_squared_l2;
  PruneKeys prune_keys;
};

extern const TileKernel kScalarKernel;
extern const TileKernel kAvx2Kernel;    // AVX2 and FMA
extern const TileKernel kAvx512Kernel;  // AVX-512F
extern const ScreenKernel kAmxScreen;   // AMX with bfloat16, beside AVX-512F
extern const ScreenKernel kAvx512Bf16Screen;

// The kernel for `isa`; kAuto is the widest that this processor runs. Throws Error(kInvalidArgument) for a set that
// this processor lacks.
const TileKernel& select_kernel(Isa isa);
bool is_supported(Isa isa) noexcept;
// The same for a screen's first bounds: a named set's own; with kAuto the matrix unit, where there is one.
const ScreenKernel& select_screen_kernel(Isa isa);
// And for a first look without a screen, in which no block ends early: with kAuto one in bfloat16, on the matrix unit
// or else in vectors.
const ScreenKernel& select_look_kernel(Isa isa);
bool has_matrix_unit() noexcept;
bool has_bfloat16_products() noexcept;  // AVX512_BF16

}  // namespace simtile::kernels
