// Kernels for scores that are made in a block in the first-level cache, a strip of query rows by a tile of base rows,
// and compared there: sparse rows, and weighted sums of several fields. The contract is tile_kernel.h's: no policy, the
// same bits from every set, nothing inline that another file could share.
//
// A sparse score is s = fma(q[c], b[c], s) over the columns that both rows hold, ascending, from zero. A base row that
// lacks the column may take part with b[c] = 0: fma(q, 0, s) is s, but for the sign of a zero, which nothing tells.
#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/kernels/tile_kernel.h"

namespace simtile::kernels {

// Where a column's values in a block of base rows lie: a list of those that hold it, or a value for each of them.
struct ColumnPostings {
  std::uint32_t start;  // of the list; of a dense column, its number
  std::uint32_t count;  // of the list; kDenseColumn
};
inline constexpr std::uint32_t kDenseColumn = 0xffffffffu;

struct PostingsBlock {
  const ColumnPostings* columns;
  const float* values;        // of the lists
  const std::uint32_t* rows;  // distinct within a list
  const float* dense;         // a dense column is `width` floats, one column after the other
  std::uint32_t width;        // base rows, a multiple of the tile kernel's base_width
};

// scores[0, width) = one query row's scores. Its columns ascend and number those of the block.
using ScoreSparseRow = void (*)(const PostingsBlock& bases, const std::uint32_t* columns, const float* values,
                                std::size_t count, float* scores);

// sums[i] = fma(weight, scores[i], sums[i]); count is a multiple of the tile kernel's base_width.
using AddWeighted = void (*)(float weight, const float* scores, std::size_t count, float* sums);

// Larger is better; otherwise as a Strip's: thresholds, pair numbers, survivors, NaN for padding.
struct ScoreBlock {
  const float* scores;            // query_rows x stride
  const float* query_thresholds;  // query_rows
  const float* base_thresholds;   // columns
  std::size_t stride;
  std::uint32_t query_rows;
  std::uint32_t columns;     // a multiple of the tile kernel's base_width
  std::uint32_t first_pair;  // the pair number of (first query row, first base row)
};
using CompareScores = void (*)(const ScoreBlock& block, Survivors& for_queries, Survivors& for_bases);
// The same for bounds, of pairs that are asked about again: one list, of what survives for either side. A bound that is
// NaN says nothing: its pair survives.
using CompareBounds = void (*)(const ScoreBlock& block, Survivors& for_either);

struct BlockKernel {
  ScoreSparseRow score_sparse_row;
  AddWeighted add_weighted;
  CompareScores compare_scores;
  CompareBounds compare_bounds;
};

extern const BlockKernel kScalarBlockKernel;
extern const BlockKernel kAvx2BlockKernel;
extern const BlockKernel kAvx512BlockKernel;

// The one that goes with a kernel that select_kernel() gave.
const BlockKernel& block_kernel_of(const TileKernel& kernel) noexcept;

}  // namespace simtile::kernels
