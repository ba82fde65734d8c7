// Tiles of a search of few queries: base rows are scored where they lie, once for all queries.
#include <algorithm>
#include <limits>

#include "engine/base/checked.h"
#include "engine/join/tile_scorer.h"
#include "engine/join/tile_scorer_strips.h"
#include "engine/plan/memory_model.h"

namespace simtile::join {

// Some base rows at a time are loaded, decoded where they are not binary32 already, and scored while they are near.
void TileScorer::score_few_queries(const Stripe& stripe, const plan::Tile& tile, DenseRows::Window& window) {
  auto* thresholds = query_thresholds_.as<float>();
  const std::uint64_t columns = tile.base_end - tile.base_begin;
  const std::uint64_t rows_at_once = plan::rows_scored_at_once(shapes_);
  const auto panels = static_cast<std::uint32_t>(divide_up(stripe.rows(), kernel_->row_query_width));
  std::fill_n(thresholds, panels * kernel_->row_query_width, std::numeric_limits<float>::quiet_NaN());
  const auto load_thresholds = [&] {
    for (std::uint64_t q = 0; q < stripe.rows(); ++q) thresholds[q] = query_threshold(stripe.begin() + q, tile);
  };
  load_thresholds();
  const kernels::ScoreRows score_rows = metric_ == Metric::kL2 ? kernel_->squared_l2_rows : kernel_->inner_product_rows;
  for (std::uint64_t first = 0; first < columns; first += rows_at_once) {
    const std::uint64_t rows = std::min(rows_at_once, columns - first);
    load(window, first, rows);
    if (!has_room_for(stripe.rows() * rows)) {
      drain(stripe, tile);
      load_thresholds();
    }
    const float* values = window.direct(first);
    if (values == nullptr)
      for (std::uint64_t r = 0; r < rows; ++r) window.decode(first + r, scratch_.as<float>() + r * shapes_.dims);
    const kernels::RowStrip strip{stripe.panel(0),
                                  values != nullptr ? values : scratch_.as<float>(),
                                  thresholds,
                                  values != nullptr ? window.direct_stride() : shapes_.dims,
                                  static_cast<std::uint32_t>(shapes_.dims),
                                  panels,
                                  static_cast<std::uint32_t>(rows),
                                  static_cast<std::uint32_t>(first)};
    score_rows(strip, for_queries_.list);
  }
  window.close();
}

}  // namespace simtile::join
