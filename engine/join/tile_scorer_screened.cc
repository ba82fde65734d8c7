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
  cascade_->begin_tile(*window.screen, *window.dense, columns);
  load_base_thresholds(tile);
  const ScreenPanels& bases = cascade_->panels();
  walk_strips(
      stripe, tile, {0, stripe.rows()}, bases.panel(0), bases.panel_floats(), bases.dims(),
      [&](std::uint64_t panel) { return stripe.screen().panel(panel); },
      [&](kernels::Strip& strip, std::uint64_t row) {
        load_query_thresholds(stripe, tile, row, strip.query_rows, row);
        strip.query_thresholds = query_thresholds_.as<float>() + row;
        if (by_product_) strip.query_offsets = query_offsets_.as<float>() + row;
        screen_parts(strip, stripe.screen().panel_ball(row / shapes_.query_width), least_bound(row, strip.query_rows));
      });
  drain(stripe, tile);
  cascade_->end_tile();
}

// Runs the kernel over the base panels that are not ruled out, those that follow each other at once.
void TileScorer::screen_parts(const kernels::Strip& whole, const ScreenBall& queries, double limit) {
  const kernels::ScreenKernel& kernel = cascade_->kernel();
  const kernels::ScreenStrip screen_strip = by_product_ ? kernel.squared_l2 : kernel.inner_product;
  const std::uint32_t width = kernel.base_width;
  const auto first_panel = static_cast<std::uint32_t>(whole.base_thresholds - base_thresholds_.as<float>()) / width;
  const std::uint32_t end = first_panel + whole.base_panel_count;
  kernels::Strip part = whole;
  std::uint32_t begin = first_panel;  // of the part that is not ruled out so far
  const auto screen_up_to = [&](std::uint32_t panel) {
    const std::uint32_t skipped = (begin - first_panel) * width;
    part.base_panel_count = panel - begin;
    if (part.base_panel_count == 0) return;
    part.base_panels = whole.base_panels + (begin - first_panel) * cascade_->panels().panel_floats();
    part.base_thresholds = whole.base_thresholds + skipped;
    if (by_product_) part.base_offsets = whole.base_offsets + skipped;
    part.first_pair = whole.first_pair + skipped;
    screen_strip(part, for_queries_.list);
  };
  for (std::uint32_t panel = first_panel; panel < end;) {
    const std::uint32_t next =
        std::min(end, panel - panel % ScreenCascade::kPanelsOfABall + ScreenCascade::kPanelsOfABall);
    if (cascade_->rules_out(queries, panel, limit)) {
      screen_up_to(panel);
      begin = next;
      cascade_->count_dropped(std::uint64_t{whole.query_rows} * (next - panel) * width);
    }
    panel = next;
  }
  screen_up_to(end);
}

// The least bound with which a pair of these query rows and any base row of the tile would be left.
double TileScorer::least_bound(std::uint64_t first_row, std::uint32_t rows) const noexcept {
  const float* thresholds = query_thresholds_.as<float>() + first_row;
  const auto for_queries = static_cast<double>(*std::min_element(thresholds, thresholds + rows));
  const auto for_bases = static_cast<double>(weakest_base_threshold_);
  if (!by_product_) return std::min(for_queries, for_bases);
  const float* offsets = query_offsets_.as<float>() + first_row;
  const auto query_offset = static_cast<double>(*std::min_element(offsets, offsets + rows));
  return std::min(for_queries + static_cast<double>(least_base_offset_), query_offset + for_bases);
}

}  // namespace simtile::join
