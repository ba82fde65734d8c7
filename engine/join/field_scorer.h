// Scores a strip of query rows against a tile of base rows field by field, in a block that stays near: a weighted sum s
// = fma(weight, the field's score, s) over the fields in their order, from zero.
//
// Dense fields go through the tile kernel's matrix product, which leaves the definition's chains. Sparse fields: the
// tile's rows are turned into postings (kernels/block_kernel.h), for each column the base rows that hold it, and a
// query row adds its columns' postings to its row of the block, in ascending order: the definition's chain, with terms
// left out that are zero. A column that a good part of the tile's rows hold is kept as a dense vector instead, zeros
// included, and added without gathering: with a Zipf law, half of a row's columns are such, and nearly all of its work.
// A column's shape never changes a score, so no pair needs to be scored twice.
//
// Where there are products in bfloat16, they take a first look at dense fields (rounded_rows.h): bounds stand in for
// their scores, which makes the sums bounds (where no weight is negative: a fused multiply-add and its rounding ascend
// with each operand), and what they let through is scored by the definition.
//
// Threads: one at a time for each FieldScorer; nothing is allocated once it is made.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "engine/join/field_stripe.h"
#include "engine/join/rounded_rows.h"
#include "engine/join/side.h"
#include "engine/kernels/block_kernel.h"
#include "engine/plan/tile_plan.h"

namespace simtile::join {

class FieldScorer {
 public:
  FieldScorer(PageBudget& budget, const plan::Shapes& shapes, const plan::TilePlan& plan,
              const kernels::TileKernel& kernel, const kernels::ScreenKernel& screen_kernel);

  // Leases the tile's base rows of all fields and takes what scoring them needs. Throws what leases throw.
  void begin_tile(Side& base, const FieldStripe& stripe, const plan::Tile& tile);

  // Where Shapes::rounded_floats asks for it: whether bounds of this tile neither overflow nor vanish. Then one of
  // these says which kind score() gives, before it is first called.
  bool all_fit(const FieldStripe& stripe) const noexcept;
  void give_bounds();
  void give_scores();

  // The sums of `rows` query rows, counted from the stripe's first_row (a multiple of the panel width), with the tile's
  // base rows from first_column (likewise) on: scores, or bounds. Row q of the block starts at scores + q * stride.
  kernels::ScoreBlock score(const FieldStripe& stripe, std::uint64_t first_row, std::uint32_t rows,
                            std::uint32_t first_column);
  // Of the block of bounds that score() gave last, from first_row on: the survivors from number `first` on get their
  // scores.
  void score_survivors(const FieldStripe& stripe, std::uint64_t first_row, std::uint32_t first,
                       kernels::Survivors& survivors);

  double seconds_loading() const noexcept { return seconds_loading_; }

 private:
  struct Field {
    BudgetedMemory panels, scratch;                        // dense
    std::optional<RoundedRows> rounded;                    // dense, with a first look
    BudgetedMemory postings, values, rows, dense_columns;  // sparse
    BudgetedMemory scores;                                 // sparse, with a first look: of the last block
  };
  void pack_dense(std::size_t f, DenseRows& rows, const plan::Tile& tile);
  void pack_sparse(std::size_t f, SparseRows& rows, const FieldStripe& stripe, const plan::Tile& tile);
  void frame_postings(Field& field, std::uint32_t local_columns, std::uint64_t room) const;
  void score_dense(std::size_t f, const FieldStripe& stripe, std::uint64_t first_row, std::uint32_t rows,
                   std::uint32_t first_column);
  void score_sparse(std::size_t f, const FieldStripe& stripe, std::uint64_t first_row, std::uint32_t rows);
  void renormalize(const FieldStripe& stripe, std::uint64_t first_row, std::uint32_t rows, std::uint32_t first_column);
  void renormalize_pairs(const FieldStripe& stripe, const std::uint32_t* pairs, std::uint32_t count,
                         float* sums) const noexcept;
  float* scores_of(const Field& field) const noexcept {
    return field.scores.bytes() != 0 ? field.scores.as<float>() : scores_.as<float>();
  }

  const plan::Shapes shapes_;
  const kernels::TileKernel* kernel_;
  const kernels::ScreenKernel* screen_kernel_;
  const kernels::BlockKernel* block_kernel_;
  bool sums_are_needed_;  // else the only field's scores are the answer
  bool gives_bounds_ = false;
  std::uint32_t columns_ = 0;    // of the tile, padded to whole panels
  std::uint32_t base_rows_ = 0;  // of the tile
  std::vector<Field> fields_;
  BudgetedMemory scores_;  // query_width x tile columns, of one field
  BudgetedMemory sums_;    // the same, of the fields so far
  BudgetedMemory partial_;
  BudgetedMemory present_;       // for each base row of the tile, as FieldStripe::present()
  BudgetedMemory denominators_;  // for each set of fields, their weights' sum
  BudgetedMemory pair_scores_;   // of some survivors, of one field
  BudgetedMemory pair_sums_;
  double seconds_loading_ = 0.0;
};

}  // namespace simtile::join
