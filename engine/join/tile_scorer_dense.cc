// Tiles of dense rows by the definition's kernel, or for l2 by the product, which leaves few pairs to the definition.
#include <algorithm>

#include "engine/join/tile_scorer.h"
#include "engine/join/tile_scorer_strips.h"

namespace simtile::join {

void TileScorer::score_dense(const Stripe& stripe, const plan::Tile& tile, DenseRows::Window& window) {
  const std::uint64_t columns = tile.base_end - tile.base_begin;
  load(window, 0, columns);
  pack_panels(window, 0, columns, kernel_->base_width, shapes_.dims, kernel_->pack_base_panel, scratch_.as<float>(),
              panels_.as<float>());
  window.close();
  by_product_ = next_by_product_;
  if (by_product_) {
    measure_base_norms(columns);
    by_product_ = !product_may_overflow(stripe, columns);
  }
  load_base_thresholds(tile);

  const kernels::ScoreStrip score_strip = by_product_              ? kernel_->squared_l2_by_product
                                          : metric_ == Metric::kL2 ? kernel_->squared_l2
                                                                   : kernel_->inner_product;
  walk_strips(
      stripe, tile, {0, stripe.rows()}, panels_.as<float>(), shapes_.dims * kernel_->base_width, shapes_.dims,
      [&](std::uint64_t panel) { return stripe.panel(panel); },
      [&](kernels::Strip& strip, std::uint64_t row) {
        load_query_thresholds(stripe, tile, row, strip.query_rows, 0);
        strip.query_thresholds = query_thresholds_.as<float>();
        strip.query_offsets = query_offsets_.as<float>();
        score_strip(strip, for_queries_.list, for_bases_.list);
      });
}

void TileScorer::measure_base_norms(std::uint64_t columns) {
  const std::uint32_t width = kernel_->base_width;
  for (std::uint64_t c = 0; c < columns; c += width)
    panel_norms(panels_.as<float>() + c * shapes_.dims, width, shapes_.dims, base_norms_.as<double>() + c);
}

bool TileScorer::product_may_overflow(const Stripe& stripe, std::uint64_t columns) const noexcept {
  const auto too_large = [](double norm) { return !(norm <= L2Margin::kLargestNorm); };
  for (std::uint64_t row = 0; row < stripe.rows(); ++row)
    if (too_large(stripe.squared_norm(row))) return true;
  const auto* norms = base_norms_.as<double>();
  return std::any_of(norms, norms + columns, too_large);
}

}  // namespace simtile::join
