// Tiles with a screen: the kernel bounds pairs by their rows' first coordinates, whole panels are ruled out by their
// balls, and the cascade settles what is left.
#include <algorithm>

#include "engine/join/tile_scorer.h"
#include "engine/join/tile_scorer_strips.h"

namespace simtile::join {

void TileScorer::score_screened(const Stripe& stripe, const plan::Tile& tile, SideWindow& window) {
  const std::uint64_t columns = tile.base_end - tile.base_begin;
  load(*window.screen, 0, columns);
  by_product_ = metric_ == Metric::kL2;
  const std::uint64_t shared_end = feeds_base_rows(tile) ? std::min(tile.base_end, stripe.end()) : tile.base_begin;
  const std::uint64_t shared = shared_end > tile.base_begin ? shared_end - tile.base_begin : 0;
  cascade_->begin_tile(*window.screen, *window.dense, columns, stripe, tile.base_begin - stripe.begin(), shared,
                       stop_choice_.asks_balls());
  load_base_thresholds(tile);
  const ScreenPanels& bases = cascade_->panels();
  walk_strips(
      stripe, tile, {0, stripe.rows()}, bases.panel(0), bases.panel_floats(), bases.dims(),
      [&](std::uint64_t panel) { return stripe.screen().panel(panel); },
      [&](kernels::Strip& strip, std::uint64_t place) {
        load_query_limits(stripe, tile, place, strip.query_rows);
        strip.query_thresholds = query_limits_.as<float>();
        strip.query_offsets = query_limit_offsets_.as<float>();
        strip.stops = stop_choice_.stops();
        screen_parts(strip, stripe.screen().panel_ball(place / shapes_.query_width), least_bound(strip.query_rows));
      });
  drain(stripe, tile);
  cascade_->end_tile();
  stop_choice_.end_tile();
}

// Of the rows at a panel's places; the later stages find them by row.
void TileScorer::load_query_limits(const Stripe& stripe, const plan::Tile& tile, std::uint64_t first_place,
                                   std::uint32_t rows) {
  auto* limits = query_limits_.as<float>();
  for (std::uint32_t q = 0; q < rows; ++q) {
    const std::uint32_t row = stripe.screen().row_at()[first_place + q];
    load_query_threshold(stripe, tile, row, row);
    limits[q] = query_thresholds_.as<float>()[row];
    if (by_product_) query_limit_offsets_.as<float>()[q] = query_offsets_.as<float>()[row];
  }
  std::fill(limits + rows, limits + shapes_.query_width, topk::closed_threshold(true));
}

// From the thresholds and offsets by row; padding stays where it is.
void TileScorer::load_base_limits(std::uint64_t columns, std::uint64_t padded) {
  const std::span<const std::uint32_t> row_at = cascade_->panels().row_at();
  const auto put_in_order = [&](const BudgetedMemory& by_row, BudgetedMemory& by_place) {
    const auto* from = by_row.as<float>();
    auto* to = by_place.as<float>();
    for (std::uint64_t place = 0; place < columns; ++place) to[place] = from[row_at[place]];
    std::copy(from + columns, from + padded, to + columns);
  };
  put_in_order(base_thresholds_, base_limits_);
  weakest_base_limit_ = *std::min_element(base_limits_.as<float>(), base_limits_.as<float>() + columns);
  if (!by_product_) return;
  put_in_order(base_offsets_, base_limit_offsets_);
  least_base_offset_ = *std::min_element(base_offsets_.as<float>(), base_offsets_.as<float>() + columns);
}

// Runs the kernel over the base panels that are not ruled out, those that follow each other at once.
void TileScorer::screen_parts(const kernels::Strip& whole, const ScreenBall& queries, double limit) {
  const kernels::ScreenKernel& kernel = cascade_->kernel();
  const kernels::ScreenStrip screen_strip = by_product_ ? kernel.squared_l2 : kernel.inner_product;
  const std::uint32_t width = kernel.base_width;
  const std::uint32_t first_panel = (whole.first_pair & kernels::kColumnMask) / width;
  const std::uint32_t end = first_panel + whole.base_panel_count;
  kernels::Strip part = whole;
  std::uint32_t begin = first_panel;  // of the part that is not ruled out so far
  const auto screen_up_to = [&](std::uint32_t panel) {
    const std::uint32_t first_row = begin * width;
    part.base_panel_count = panel - begin;
    if (part.base_panel_count == 0) return;
    part.base_panels = whole.base_panels + std::size_t{begin - first_panel} * cascade_->panels().panel_floats();
    part.base_thresholds = base_limits_.as<float>() + first_row;
    if (by_product_) part.base_offsets = base_limit_offsets_.as<float>() + first_row;
    part.first_pair = whole.first_pair + (begin - first_panel) * width;
    screen_strip(part, for_queries_.list);
  };
  for (std::uint32_t panel = first_panel; panel < end;) {
    const std::uint32_t next =
        std::min(end, panel - panel % ScreenCascade::kPanelsOfABall + ScreenCascade::kPanelsOfABall);
    const bool ruled_out = stop_choice_.asks_balls() && cascade_->rules_out(queries, panel, limit);
    if (stop_choice_.asks_balls()) stop_choice_.count_ball(ruled_out);
    if (ruled_out) {
      screen_up_to(panel);
      begin = next;
      cascade_->count_dropped(std::uint64_t{whole.query_rows} * (next - panel) * width);
    }
    panel = next;
  }
  screen_up_to(end);
}

// The least bound with which a pair of a query panel's rows and any base row of the tile would be left.
double TileScorer::least_bound(std::uint32_t query_rows) const noexcept {
  const float* limits = query_limits_.as<float>();
  const auto for_queries = static_cast<double>(*std::min_element(limits, limits + query_rows));
  const auto for_bases = static_cast<double>(weakest_base_limit_);
  if (!by_product_) return std::min(for_queries, for_bases);
  const float* offsets = query_limit_offsets_.as<float>();
  const auto query_offset = static_cast<double>(*std::min_element(offsets, offsets + query_rows));
  return std::min(for_queries + static_cast<double>(least_base_offset_), query_offset + for_bases);
}

}  // namespace simtile::join
