// What a tile's scores are compared with: the bounds of its rows, as scores, or as parts of a sum (l2_margin.h).
#include <algorithm>
#include <limits>

#include "engine/base/checked.h"
#include "engine/join/tile_scorer.h"

namespace simtile::join {

// A base row's threshold counts where the tile feeds base rows; otherwise it is one that no score passes. Padding
// columns get NaN, which lets nothing through on either side.
void TileScorer::load_base_thresholds(const plan::Tile& tile) {
  auto* thresholds = base_thresholds_.as<float>();
  const std::uint64_t columns = tile.base_end - tile.base_begin;
  if (!feeds_base_rows(tile)) {
    std::fill_n(thresholds, columns, topk::closed_threshold(larger_better_));
  } else {
    for (std::uint64_t c = 0; c < columns; ++c) {
      const topk::Key bound = column_state_ ? column_bounds_->load(c) : state_->bounds().load(tile.base_begin + c);
      thresholds[c] = topk::threshold_score(larger_better_, bound, tile.query_begin);
    }
  }
  const std::uint64_t padded = round_up(columns, shapes_.base_width);
  std::fill(thresholds + columns, thresholds + padded, std::numeric_limits<float>::quiet_NaN());
  if (by_product_) load_base_offsets(columns, padded);
  if (cascade_) load_base_limits(columns, padded);
}

const double* TileScorer::base_squared_norms() const noexcept {
  if (cascade_) return cascade_->panels().squared_norms();
  return rounded_ ? rounded_->squared_norms() : base_norms_.as<double>();
}

// l2 by the product: what stands in base_thresholds_ becomes a part of a sum, and the offsets are the other part.
void TileScorer::load_base_offsets(std::uint64_t columns, std::uint64_t padded) {
  auto* thresholds = base_thresholds_.as<float>();
  auto* offsets = base_offsets_.as<float>();
  const double* norms = base_squared_norms();
  for (std::uint64_t c = 0; c < columns; ++c) {
    const double norm = norms[c];
    offsets[c] = margin_.part(norm);
    thresholds[c] = margin_.part_with_threshold(norm, thresholds[c]);
  }
  std::fill(offsets + columns, offsets + padded, std::numeric_limits<float>::quiet_NaN());
}

void TileScorer::load_query_threshold(const Stripe& stripe, const plan::Tile& tile, std::uint64_t row,
                                      std::uint64_t at) {
  float& threshold = query_thresholds_.as<float>()[at];
  threshold = query_threshold(stripe.begin() + row, tile);
  if (!by_product_) return;
  const double norm = stripe.squared_norm(row);
  query_offsets_.as<float>()[at] = margin_.part(norm);
  threshold = margin_.part_with_threshold(norm, threshold);
}

// Of a strip's rows, counted from the stripe's first, to stand from `at` on; rows that do not exist get a threshold
// that lets nothing through.
void TileScorer::load_query_thresholds(const Stripe& stripe, const plan::Tile& tile, std::uint64_t first_row,
                                       std::uint32_t rows, std::uint64_t at) {
  auto* thresholds = query_thresholds_.as<float>() + at;
  for (std::uint32_t q = 0; q < rows; ++q) load_query_threshold(stripe, tile, first_row + q, at + q);
  const bool compares_products = larger_better_ || by_product_;
  std::fill(thresholds + rows, thresholds + strip_width_, topk::closed_threshold(compares_products));
}

float TileScorer::query_threshold(std::uint64_t query_row, const plan::Tile& tile) const noexcept {
  return topk::threshold_score(larger_better_, state_->bounds().load(query_row), tile.base_begin);
}

}  // namespace simtile::join
