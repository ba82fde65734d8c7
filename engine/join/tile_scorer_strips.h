// TileScorer's templates, for the files that score tiles in their several ways.
#pragma once

#include <algorithm>
#include <chrono>

#include "engine/base/checked.h"
#include "engine/join/tile_scorer.h"

namespace simtile::join {

template <typename Window>
void TileScorer::load(Window& window, std::uint64_t first, std::uint64_t rows) {
  const auto start = std::chrono::steady_clock::now();
  window.load(first, rows);
  seconds_loading_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

template <typename ScoreDirectly, typename LookFirst>
void TileScorer::look_where_it_pays(const Stripe& stripe, const plan::Tile& tile, bool all_fit,
                                    ScoreDirectly score_directly, LookFirst look_first) {
  const bool may_look = next_looks_first_ && all_fit;
  const std::uint64_t first_looked_at = may_look ? rows_before_a_look(stripe, tile) : stripe.rows();
  if (first_looked_at > 0) {
    const StripeRows rows{0, first_looked_at};
    looks_first_ = false;
    strip_width_ = kernel_->query_width;
    score_directly(rows);
    strip_width_ = shapes_.query_width;
    if (shapes_.plans_a_look()) scored_by_definition_ += pairs_of(stripe, tile, rows);
  }
  if (first_looked_at < stripe.rows()) {
    drain(stripe, tile);
    looks_first_ = true;
    look_first(StripeRows{first_looked_at, stripe.rows()});
  }
  // A tile with rows that had no neighbours yet says nothing about the next.
  tile_tells_ = !may_look || first_looked_at == 0;
}

template <typename QueryPanel, typename ScoreStrip>
void TileScorer::walk_strips(const Stripe& stripe, const plan::Tile& tile, StripeRows rows, const float* base_panels,
                             std::uint64_t base_panel_floats, std::uint64_t dims, QueryPanel query_panel,
                             ScoreStrip score_strip) {
  const std::uint32_t query_width = strip_width_;
  const std::uint32_t base_width = shapes_.base_width;
  const auto panel_count = static_cast<std::uint32_t>(divide_up(tile.base_end - tile.base_begin, base_width));
  kernels::Strip strip{};
  strip.partial_scores = partial_.as<float>();
  strip.dims = static_cast<std::uint32_t>(dims);
  for (std::uint64_t row = rows.begin; row < rows.end; row += query_width) {
    const std::uint64_t first_met = first_column_met(stripe, tile, row);
    if (first_met >= tile.base_end - tile.base_begin) break;
    const auto first_panel = static_cast<std::uint32_t>(first_met / base_width);
    const std::uint32_t first_column = first_panel * base_width;

    strip.query_panel = query_panel(row / query_width);
    strip.query_rows = static_cast<std::uint32_t>(std::min<std::uint64_t>(query_width, rows.end - row));
    strip.base_panels = base_panels + first_panel * base_panel_floats;
    strip.base_panel_count = panel_count - first_panel;
    strip.first_pair = (static_cast<std::uint32_t>(row) << kernels::kQueryShift) + first_column;
    const std::uint64_t most = std::uint64_t{query_width} * strip.base_panel_count * base_width;
    if (!has_room_for(most)) {
      drain(stripe, tile);
      load_base_thresholds(tile);
    }
    strip.base_thresholds = base_thresholds_.as<float>() + first_column;
    if (by_product_) strip.base_offsets = base_offsets_.as<float>() + first_column;
    score_strip(strip, row);
  }
}

}  // namespace simtile::join
