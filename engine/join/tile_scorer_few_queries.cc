// Tiles of a search of few queries: base rows are scored where they lie, once for all queries.
#include <algorithm>
#include <limits>

#include "engine/base/checked.h"
#include "engine/join/tile_scorer.h"
#include "engine/join/tile_scorer_strips.h"
#include "engine/plan/memory_model.h"

namespace simtile::join {

// Some base rows at a time are loaded and scored while they are near. Survivors are drained early, so that what is
// found in these rows tightens the thresholds for the next.
void TileScorer::score_few_queries(const Stripe& stripe, const plan::Tile& tile, DenseRows::Window& window) {
  constexpr std::uint64_t kWaitingForEachQuery = 16;
  const std::uint64_t columns = tile.base_end - tile.base_begin;
  const std::uint64_t rows_at_once = plan::rows_scored_at_once(shapes_);
  bool some_open = load_few_query_thresholds(stripe, tile);
  for (std::uint64_t first = 0; first < columns; first += rows_at_once) {
    const auto rows = static_cast<std::uint32_t>(std::min(rows_at_once, columns - first));
    load(window, first, rows);
    if (some_open || for_queries_.list.count > kWaitingForEachQuery * stripe.rows()) {
      drain(stripe, tile);
      some_open = load_few_query_thresholds(stripe, tile);
    }
    if (!some_open && window.factor(first) && look_pace_.looks())
      look_at_rows(stripe, window, first, rows);
    else
      score_rows_where_they_lie(stripe, window, first, rows);
  }
  window.close();
}

// Returns whether a query has no bound yet.
bool TileScorer::load_few_query_thresholds(const Stripe& stripe, const plan::Tile& tile) {
  auto* thresholds = query_thresholds_.as<float>();
  bool some_open = false;
  for (std::uint64_t q = 0; q < stripe.rows(); ++q) {
    thresholds[q] = query_threshold(stripe.begin() + q, tile);
    some_open = some_open || state_->bounds().load(stripe.begin() + q) == topk::kNoBound;
  }
  std::fill(thresholds + stripe.rows(), thresholds + round_up(stripe.rows(), kernel_->row_query_width),
            std::numeric_limits<float>::quiet_NaN());
  return some_open;
}

void TileScorer::look_at_rows(const Stripe& stripe, const DenseRows::Window& window, std::uint64_t first,
                              std::uint32_t rows) {
  auto* factors = base_factors_.as<double>();
  for (std::uint32_t r = 0; r < rows; ++r) factors[r] = *window.factor(first + r);
  const std::uint64_t left = stripe.few_query_look().score(
      {window.stored(first), window.stored_stride(), window.stored_type(), factors, rows},
      query_thresholds_.as<float>(), static_cast<std::uint32_t>(first),
      [&](std::uint32_t row, float* values) { window.decode(first + row, values); }, scratch_.as<float>(),
      for_queries_.list);
  look_pace_.on_look(left, round_up(stripe.rows(), kernel_->row_query_width) * rows);
}

// Rows that are not binary32 already are decoded.
void TileScorer::score_rows_where_they_lie(const Stripe& stripe, const DenseRows::Window& window, std::uint64_t first,
                                           std::uint32_t rows) {
  const float* values = window.direct(first);
  if (values == nullptr)
    for (std::uint64_t r = 0; r < rows; ++r) window.decode(first + r, scratch_.as<float>() + r * shapes_.dims);
  const kernels::RowStrip strip{stripe.panel(0),
                                values != nullptr ? values : scratch_.as<float>(),
                                query_thresholds_.as<float>(),
                                values != nullptr ? window.direct_stride() : shapes_.dims,
                                static_cast<std::uint32_t>(shapes_.dims),
                                static_cast<std::uint32_t>(divide_up(stripe.rows(), kernel_->row_query_width)),
                                rows,
                                static_cast<std::uint32_t>(first)};
  (metric_ == Metric::kL2 ? kernel_->squared_l2_rows : kernel_->inner_product_rows)(strip, for_queries_.list);
}

}  // namespace simtile::join
