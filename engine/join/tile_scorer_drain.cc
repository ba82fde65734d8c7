// What survives a tile goes to the top-K state, once it has the definition's score; what a tile finds for rows that are
// not held is kept beside and spilled at its end.
#include <algorithm>

#include "engine/join/tile_scorer.h"

namespace simtile::join {

using kernels::kColumnMask;
using kernels::kQueryShift;

bool TileScorer::has_room_for(std::uint64_t survivors) const noexcept {
  return std::max(for_queries_.list.count, for_bases_.list.count) + survivors + kernels::kSurvivorSlack <=
         survivor_capacity_;
}

void TileScorer::drain(const Stripe& stripe, const plan::Tile& tile) {
  survivors_of_tile_ += for_queries_.list.count + for_bases_.list.count;
  if (cascade_) {
    cascade_->settle(stripe,
                     {query_thresholds_.as<float>(), base_thresholds_.as<float>(), query_offsets_.as<float>(),
                      base_offsets_.as<float>()},
                     for_queries_.list);
  } else if (looks_first_ && !fields_) {
    const kernels::RescorePairs rescore =
        metric_ == Metric::kL2 ? kernel_->squared_l2_of_row_pairs : kernel_->inner_product_of_row_pairs;
    rescore(stripe.rounded().row(0), rounded_->row(0), static_cast<std::uint32_t>(shapes_.dims),
            for_queries_.list.pairs, for_queries_.list.count, for_queries_.list.scores);
    scored_by_definition_ += for_queries_.list.count;
  } else if (by_product_) {
    for (const kernels::Survivors& survivors : {for_queries_.list, for_bases_.list})
      kernel_->squared_l2_of_panel_pairs(stripe.panel(0), panels_.as<float>(), static_cast<std::uint32_t>(shapes_.dims),
                                         survivors.pairs, survivors.count, survivors.scores);
  }
  drain_to_queries(for_queries_.list, tile, stripe.begin());
  if (feeds_base_rows(tile)) drain_to_bases(has_one_list() ? for_queries_.list : for_bases_.list, tile, stripe.begin());
  for_queries_.list.count = 0;
  for_bases_.list.count = 0;
}

// Of a self-join's pairs (i, j) and (j, i) one is met: where strips straddle the diagonal both are in the list, unless
// the screen has chosen.
bool TileScorer::is_met(std::uint64_t query_row, std::uint64_t base_row, const plan::Tile& tile) const noexcept {
  if (!shapes_.self_join) return true;
  return feeds_base_rows(tile) && !cascade_ ? base_row > query_row : base_row != query_row;
}

void TileScorer::drain_to_queries(const kernels::Survivors& survivors, const plan::Tile& tile,
                                  std::uint64_t stripe_begin) {
  TopKState::Inserter inserter(*state_);
  for (std::uint32_t i = 0; i < survivors.count; ++i) {
    const std::uint64_t query_row = stripe_begin + (survivors.pairs[i] >> kQueryShift);
    const std::uint64_t base_row = tile.base_begin + (survivors.pairs[i] & kColumnMask);
    if (!is_met(query_row, base_row, tile)) continue;
    inserter.insert(query_row,
                    topk::make_key(larger_better_, survivors.scores[i], static_cast<std::uint32_t>(base_row)));
  }
  candidates_ += inserter.finish();
}

void TileScorer::drain_to_bases(const kernels::Survivors& survivors, const plan::Tile& tile,
                                std::uint64_t stripe_begin) {
  TopKState::Inserter inserter(*state_);
  for (std::uint32_t i = 0; i < survivors.count; ++i) {
    const std::uint64_t query_row = stripe_begin + (survivors.pairs[i] >> kQueryShift);
    const std::uint64_t column = survivors.pairs[i] & kColumnMask;
    if (!is_met(query_row, tile.base_begin + column, tile)) continue;
    const topk::Key key = topk::make_key(larger_better_, survivors.scores[i], static_cast<std::uint32_t>(query_row));
    // Rows of the running stripe are held even when the others are not.
    if (column_state_ && tile.base_begin + column >= tile.query_end)
      column_state_->insert(column, key);
    else
      inserter.insert(tile.base_begin + column, key);
  }
  candidates_ += inserter.finish();
}

void TileScorer::begin_column_state(const plan::Tile& tile) {
  const std::uint64_t columns = tile.base_end - tile.base_begin;
  column_state_->reset(0, columns);
  for (std::uint64_t c = 0; c < columns; ++c) column_bounds_->store(c, state_->bounds().load(tile.base_begin + c));
}

void TileScorer::spill_column_state(const plan::Tile& tile) {
  const std::uint64_t columns = tile.base_end - tile.base_begin;
  for (std::uint64_t c = 0; c < columns; ++c) {
    const std::span<const topk::Key> keys = column_state_->sorted(c);
    candidates_ += keys.size();
    if (keys.size() == kept_) state_->tighten(tile.base_begin + c, topk::bound_that_admits(keys.back()));
  }
  Spill::Adder adder(*state_->spill_store());
  for (std::uint64_t c = 0; c < columns; ++c)
    for (const topk::Key key : column_state_->sorted(c)) adder.add(RunEntry::of(tile.base_begin + c, key));
}

}  // namespace simtile::join
