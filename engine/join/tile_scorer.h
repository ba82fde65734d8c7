// Scores one tile and hands what survives to the top-K state: the compute of the pipeline. Each worker has a
// TileScorer of its own; nothing is allocated once it is made.
//
// How a tile is scored. The tile's base rows are packed into panels that stay in the core's cache; the stripe's query
// panels stream past them, one strip at a time. The kernel compares each score, still in a register, with the two rows'
// thresholds, and appends the survivors to two lists: what may enter the query row's top K and, in a self-join, what
// may enter the base row's. When a list could overflow, and at the end, they are drained into the top-K state. Draining
// tightens bounds, so thresholds are read again after it.
//
// l2 costs twice the product's arithmetic. Once thresholds are tight enough that few pairs survive, the product
// decides, with a margin for all rounding, which pairs can matter, and those are scored by the definition as they are
// drained.
//
// Where there are products in bfloat16, they take the first look (rounded_rows.h): bounds instead of scores, and the
// definition for the pairs that they let through, while those are few. The dense ones of several fields likewise
// (field_scorer.h).
//
// With few queries nothing is packed but they: base rows pass once, where they lie, and a first look at them as they
// are stored (few_query_look.h) leaves few pairs to the definition.
//
// With a screen, the strips are of the rows' first coordinates and the scores are bounds; what they let through goes
// through the screen's other stages (screen_cascade.h) as it is drained.
//
// Several fields, and sparse rows, are scored in a block first and then compared (field_scorer.h).
//
// A self-join's row that is searched again meets all base rows, and finds nothing for them (Tile::for_queries_alone).
//
// A self-join's diagonal: a tile that overlaps its own stripe skips, strip by strip, the panels whose pairs another
// strip scores; the few pairs (j <= i) left in the straddling panel are dropped as they are drained. A screen has rows
// in an order of its own, and drops them by that.
//
// Threads: one at a time for each TileScorer.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "engine/join/field_scorer.h"
#include "engine/join/l2_margin.h"
#include "engine/join/rounded_rows.h"
#include "engine/join/screen_cascade.h"
#include "engine/join/side.h"
#include "engine/join/stop_choice.h"
#include "engine/join/stripe.h"
#include "engine/join/topk_state.h"
#include "engine/kernels/tile_kernel.h"
#include "engine/plan/tile_plan.h"
#include "engine/screen/look_pace.h"

namespace simtile::join {

class TileScorer {
 public:
  TileScorer(PageBudget& budget, const plan::Shapes& shapes, const plan::TilePlan& plan,
             const kernels::TileKernel& kernel, const kernels::ScreenKernel& screen_kernel, Metric metric,
             TopKState& state);

  // Closes the window as soon as its rows are packed or scored; throws what Lease::close() throws.
  void score(const Stripe& stripe, const plan::Tile& tile, SideWindow window);

  std::uint64_t candidates() const noexcept { return candidates_; }
  double seconds_loading() const noexcept { return seconds_loading_ + (fields_ ? fields_->seconds_loading() : 0.0); }
  // With a first look instead of a screen: of the pairs scored by the definition alone.
  ScreenCounts screen_counts() const noexcept {
    return cascade_ ? cascade_->counts() : ScreenCounts{.scored = scored_by_definition_};
  }

 private:
  void score_dense(const Stripe& stripe, const plan::Tile& tile, DenseRows::Window& window);
  void score_rounded(const Stripe& stripe, const plan::Tile& tile, DenseRows::Window& window);
  void score_screened(const Stripe& stripe, const plan::Tile& tile, SideWindow& window);
  // Rows of the stripe, counted from its first; panels begin with them.
  struct StripeRows {
    std::uint64_t begin, end;
  };
  // With a first look planned: score_directly(rows) for the stripe's rows up to some, look_first(rows) for the others.
  template <typename ScoreDirectly, typename LookFirst>
  void look_where_it_pays(const Stripe& stripe, const plan::Tile& tile, bool all_fit, ScoreDirectly score_directly,
                          LookFirst look_first);
  // Whether the tile's pairs are found for their base rows as well.
  bool feeds_base_rows(const plan::Tile& tile) const noexcept { return shapes_.self_join && !tile.for_queries_alone; }
  // The first of the tile's columns that a strip from this row of the stripe on is scored against.
  std::uint64_t first_column_met(const Stripe& stripe, const plan::Tile& tile, std::uint64_t row) const noexcept;
  std::uint64_t rows_before_a_look(const Stripe& stripe, const plan::Tile& tile) const noexcept;
  void look_first(const Stripe& stripe, const plan::Tile& tile, StripeRows rows);
  void score_rows_directly(const Stripe& stripe, const plan::Tile& tile, StripeRows rows);
  std::uint64_t pairs_of(const Stripe& stripe, const plan::Tile& tile, StripeRows rows) const noexcept;
  // Walks these rows' query panels past the tile's base panels: score_strip(strip, first row in the stripe).
  template <typename QueryPanel, typename ScoreStrip>
  void walk_strips(const Stripe& stripe, const plan::Tile& tile, StripeRows rows, const float* base_panels,
                   std::uint64_t base_panel_floats, std::uint64_t dims, QueryPanel query_panel, ScoreStrip score_strip);
  void score_few_queries(const Stripe& stripe, const plan::Tile& tile, DenseRows::Window& window);
  bool load_few_query_thresholds(const Stripe& stripe, const plan::Tile& tile);
  void look_at_rows(const Stripe& stripe, const DenseRows::Window& window, std::uint64_t first, std::uint32_t rows);
  void score_rows_where_they_lie(const Stripe& stripe, const DenseRows::Window& window, std::uint64_t first,
                                 std::uint32_t rows);
  void score_fields(const Stripe& stripe, const plan::Tile& tile, Side& base);
  void score_field_rows(const Stripe& stripe, const plan::Tile& tile, StripeRows rows);
  void score_sparse_l2(const Stripe& stripe, const plan::Tile& tile, const SparseRows::Window& window);
  template <typename Window>
  void load(Window& window, std::uint64_t first, std::uint64_t rows);
  void load_base_thresholds(const plan::Tile& tile);
  void load_base_offsets(std::uint64_t columns, std::uint64_t padded);
  void screen_parts(const kernels::Strip& whole, const ScreenBall& queries, double limit);
  void load_base_limits(std::uint64_t columns, std::uint64_t padded);
  void load_query_limits(const Stripe& stripe, const plan::Tile& tile, std::uint64_t first_place, std::uint32_t rows);
  double least_bound(std::uint32_t query_rows) const noexcept;
  float query_threshold(std::uint64_t query_row, const plan::Tile& tile) const noexcept;
  void load_query_threshold(const Stripe& stripe, const plan::Tile& tile, std::uint64_t row, std::uint64_t at);
  void load_query_thresholds(const Stripe& stripe, const plan::Tile& tile, std::uint64_t first_row, std::uint32_t rows,
                             std::uint64_t at);
  void measure_base_norms(std::uint64_t columns);
  bool product_may_overflow(const Stripe& stripe, std::uint64_t columns) const noexcept;
  void choose_next_method(const Stripe& stripe, const plan::Tile& tile) noexcept;
  void drain(const Stripe& stripe, const plan::Tile& tile);
  bool is_met(std::uint64_t query_row, std::uint64_t base_row, const plan::Tile& tile) const noexcept;
  void drain_to_queries(const kernels::Survivors& survivors, const plan::Tile& tile, std::uint64_t stripe_begin);
  void drain_to_bases(const kernels::Survivors& survivors, const plan::Tile& tile, std::uint64_t stripe_begin);
  void begin_column_state(const plan::Tile& tile);
  void spill_column_state(const plan::Tile& tile);

  struct SurvivorBuffer {
    BudgetedMemory scores;
    BudgetedMemory pairs;
    kernels::Survivors list{};
  };
  SurvivorBuffer make_survivor_buffer(PageBudget& budget) const;
  bool has_room_for(std::uint64_t survivors) const noexcept;

  const plan::Shapes shapes_;
  const kernels::TileKernel* kernel_;
  const kernels::ScreenKernel* screen_kernel_;
  std::uint32_t strip_width_;  // query rows of a strip
  Metric metric_;
  bool larger_better_;
  TopKState* state_;
  std::uint64_t kept_;
  std::uint64_t survivor_capacity_;
  std::uint64_t candidates_ = 0;
  double seconds_loading_ = 0.0;

  const double* base_squared_norms() const noexcept;

  // l2 by the product (l2_margin.h), where few enough pairs survive to be scored again.
  L2Margin margin_;
  bool by_product_ = false;  // this tile
  bool next_by_product_ = false;
  // A first look (rounded_rows.h), on the same condition.
  std::optional<RoundedRows> rounded_;
  bool looks_first_ = false;  // this tile
  bool next_looks_first_ = true;
  bool tile_tells_ = true;                  // whether it pays for the next one
  std::uint64_t scored_by_definition_ = 0;  // pairs, all or those that were looked at first
  std::uint32_t tiles_to_score_directly_ = 0;
  std::uint32_t tiles_before_another_try_ = 1;
  std::uint64_t survivors_of_tile_ = 0;
  screen::LookPace look_pace_;  // few queries
  std::optional<ScreenCascade> cascade_;
  std::optional<FieldScorer> fields_;
  const kernels::BlockKernel* block_kernel_;
  StopChoice stop_choice_;
  float weakest_base_limit_ = 0.0f;
  float least_base_offset_ = 0.0f;

  // Whether the kernel of this tile makes one list, of what survives for either side.
  bool has_one_list() const noexcept { return cascade_ || looks_first_; }

  SurvivorBuffer for_queries_;  // or for either side
  SurvivorBuffer for_bases_;

  BudgetedMemory panels_;
  BudgetedMemory scratch_;
  BudgetedMemory partial_;
  BudgetedMemory base_thresholds_;
  BudgetedMemory query_thresholds_;
  BudgetedMemory base_offsets_;  // l2 by the product
  BudgetedMemory query_offsets_;
  // With a screen, in the order of its panels: a query panel's, the tile's.
  BudgetedMemory query_limits_;
  BudgetedMemory base_limits_;
  BudgetedMemory query_limit_offsets_;  // l2
  BudgetedMemory base_limit_offsets_;
  BudgetedMemory base_norms_;
  BudgetedMemory base_factors_;  // few queries: what stored values are multiplied by
  BudgetedMemory row_scores_;    // sparse, l2: one base row against the stripe

  // What this tile finds for base rows, when those rows' state is not resident.
  std::optional<topk::Bounds> column_bounds_;
  std::optional<topk::Reservoirs> column_state_;
};

}  // namespace simtile::join
