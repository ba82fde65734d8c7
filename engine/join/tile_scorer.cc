// What a TileScorer is made of, and which way a tile is scored; the ways are in tile_scorer_*.cc.
#include "engine/join/tile_scorer.h"

#include <algorithm>

#include "engine/base/checked.h"
#include "engine/plan/memory_model.h"

namespace simtile::join {

TileScorer::TileScorer(PageBudget& budget, const plan::Shapes& shapes, const plan::TilePlan& plan,
                       const kernels::TileKernel& kernel, const kernels::ScreenKernel& screen_kernel, Metric metric,
                       TopKState& state)
    : shapes_(shapes),
      kernel_(&kernel),
      screen_kernel_(&screen_kernel),
      strip_width_(shapes.query_width),
      metric_(metric),
      larger_better_(topk::larger_is_better(metric)),
      state_(&state),
      kept_(plan.kept),
      survivor_capacity_(plan::survivor_capacity(shapes, plan)),
      margin_(shapes.dims),
      block_kernel_(&kernels::block_kernel_of(kernel)),
      stop_choice_(shapes.screen) {
  const std::uint64_t columns = round_up(plan.tile_columns, shapes.base_width);
  const bool whole_stripe = (shapes.sparse && !shapes.by_fields()) || shapes.few_queries || shapes.screen.in_use();
  const std::uint64_t limited_rows =
      whole_stripe ? round_up(plan.stripe_rows, shapes.query_width) : std::uint64_t{shapes.query_width};
  for_queries_ = make_survivor_buffer(budget);
  for_bases_ = make_survivor_buffer(budget);
  query_thresholds_ = BudgetedMemory(budget, limited_rows * sizeof(float));
  if (shapes.few_queries) {
    const std::uint64_t rows = plan::rows_scored_at_once(shapes);
    scratch_ = BudgetedMemory(budget, plan::few_query_room_floats(plan.stripe_rows, rows, shapes.dims) * sizeof(float));
    base_factors_ = BudgetedMemory(budget, rows * sizeof(double));
    return;
  }
  base_thresholds_ = BudgetedMemory(budget, columns * sizeof(float));
  if (shapes.by_fields()) {
    fields_.emplace(budget, shapes, plan, kernel, screen_kernel);
  } else if (shapes.sparse) {
    row_scores_ = BudgetedMemory(budget, plan.stripe_rows * sizeof(float));
  } else {
    partial_ = BudgetedMemory(budget, shapes.query_width * columns * sizeof(float));
    if (metric == Metric::kL2) {
      base_offsets_ = BudgetedMemory(budget, columns * sizeof(float));
      query_offsets_ = BudgetedMemory(budget, limited_rows * sizeof(float));
    }
    if (shapes.screen.in_use()) {
      query_limits_ = BudgetedMemory(budget, shapes.query_width * sizeof(float));
      base_limits_ = BudgetedMemory(budget, columns * sizeof(float));
      query_limit_offsets_ = BudgetedMemory(budget, query_offsets_.bytes() == 0 ? 0 : query_limits_.bytes());
      base_limit_offsets_ = BudgetedMemory(budget, base_offsets_.bytes());
      cascade_.emplace(budget, shapes, plan, kernel, screen_kernel, metric);
    } else {
      panels_ = BudgetedMemory(budget, columns * shapes.dims * sizeof(float));
      scratch_ = BudgetedMemory(budget, std::max(kernel.base_width, kernel.query_width) * shapes.dims * sizeof(float));
      if (shapes.plans_a_look())
        rounded_.emplace(budget, shapes.dims, shapes.rounded_floats, plan.tile_columns, screen_kernel.base_width,
                         screen_kernel.pack_base_panel);
      else if (metric == Metric::kL2)
        base_norms_ = BudgetedMemory(budget, columns * sizeof(double));
    }
  }
  if (plan::spills(shapes, plan)) {
    column_bounds_.emplace(budget, plan.tile_columns, topk::kNoBound);
    column_state_.emplace(budget, *column_bounds_, kernel.prune_keys, 0, plan.tile_columns, plan.kept,
                          plan.reservoir_capacity);
  }
}

TileScorer::SurvivorBuffer TileScorer::make_survivor_buffer(PageBudget& budget) const {
  SurvivorBuffer buffer{BudgetedMemory(budget, survivor_capacity_ * sizeof(float)),
                        BudgetedMemory(budget, survivor_capacity_ * sizeof(std::uint32_t))};
  buffer.list = {buffer.scores.as<float>(), buffer.pairs.as<std::uint32_t>(), 0};
  return buffer;
}

void TileScorer::score(const Stripe& stripe, const plan::Tile& tile, SideWindow window) {
  if (column_state_ && feeds_base_rows(tile)) begin_column_state(tile);
  if (shapes_.few_queries)
    score_few_queries(stripe, tile, *window.dense);
  else if (fields_)
    score_fields(stripe, tile, *window.fields);
  else if (cascade_)
    score_screened(stripe, tile, window);
  else if (rounded_)
    score_rounded(stripe, tile, *window.dense);
  else if (window.dense)
    score_dense(stripe, tile, *window.dense);
  else
    score_sparse_l2(stripe, tile, *window.sparse);
  window.close();
  drain(stripe, tile);
  if (shapes_.plans_a_look() ? tile_tells_ : metric_ == Metric::kL2 && !cascade_) choose_next_method(stripe, tile);
  survivors_of_tile_ = 0;
  if (column_state_ && feeds_base_rows(tile)) spill_column_state(tile);
}

// In a self-join a row meets those behind it.
std::uint64_t TileScorer::first_column_met(const Stripe& stripe, const plan::Tile& tile,
                                           std::uint64_t row) const noexcept {
  if (!feeds_base_rows(tile)) return 0;
  if (cascade_) return cascade_->first_place_met(row);
  return std::max(stripe.begin() + row + 1, tile.base_begin) - tile.base_begin;
}

// A survivor of the product is scored again, which costs about as much as fifty of its scores, and one of a first look
// about as much as ten: beyond a share, the definition's kernel is the faster way. Where the margin itself lets many
// through (rows far from the origin and near to each other), it is not tried again soon.
void TileScorer::choose_next_method(const Stripe& stripe, const plan::Tile& tile) noexcept {
  constexpr double kPairsForOneThatIsLeft = 9.5;
  const double saved = 1.0 - 1.0 / screen_kernel_->speedup;  // of a pair, by a look that leaves nothing
  const double largest_share = shapes_.plans_a_look() ? saved / kPairsForOneThatIsLeft : 0.02;
  constexpr std::uint32_t kMostTilesBeforeAnotherTry = 64;
  const auto pairs = static_cast<double>(stripe.rows() * (tile.base_end - tile.base_begin));
  const bool few = static_cast<double>(survivors_of_tile_) < largest_share * pairs;
  if (by_product_ || looks_first_) {
    // A look that fails costs ten tiles, and fails on a stripe's first tiles where it would not on later ones: each
    // failure after another waits twice as long. A product that fails costs fifty.
    const std::uint32_t longer = shapes_.plans_a_look() ? 2 * tiles_before_another_try_ : kMostTilesBeforeAnotherTry;
    tiles_before_another_try_ = few ? 1 : std::min(longer, kMostTilesBeforeAnotherTry);
    if (!few) tiles_to_score_directly_ = tiles_before_another_try_;
  }
  if (tiles_to_score_directly_ > 0) --tiles_to_score_directly_;
  // With thresholds still open, a tile says nothing about the next.
  const bool decide_first = few && tiles_to_score_directly_ == 0 && (metric_ != Metric::kL2 || margin_.is_usable());
  (shapes_.plans_a_look() ? next_looks_first_ : next_by_product_) = decide_first;
}

}  // namespace simtile::join
