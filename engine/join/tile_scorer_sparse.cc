// Tiles of sparse rows by l2: one base row after another against the stripe.
#include <algorithm>

#include "engine/join/tile_scorer.h"

namespace simtile::join {

using kernels::kQueryShift;

namespace {

void append(kernels::Survivors& survivors, float score, std::uint32_t pair) {
  survivors.scores[survivors.count] = score;
  survivors.pairs[survivors.count++] = pair;
}

}  // namespace

// Scores one base row after another against the stripe, then compares every score.
void TileScorer::score_sparse_l2(const Stripe& stripe, const plan::Tile& tile, const SparseRows::Window& window) {
  auto* scores = row_scores_.as<float>();
  auto* thresholds = query_thresholds_.as<float>();
  const auto load_thresholds = [&] {
    load_base_thresholds(tile);
    for (std::uint64_t q = 0; q < stripe.rows(); ++q) thresholds[q] = query_threshold(stripe.begin() + q, tile);
  };
  load_thresholds();
  for (std::uint64_t base_row = tile.base_begin; base_row < tile.base_end; ++base_row) {
    // In a self-join a row meets those behind it: the stripe's rows before base_row.
    const std::uint64_t queries =
        feeds_base_rows(tile) ? std::min(base_row - stripe.begin(), stripe.rows()) : stripe.rows();
    const std::uint64_t column = base_row - tile.base_begin;
    const SparseRow base = window.row(column);
    for (std::uint64_t q = 0; q < queries; ++q) {
      const SparseRow query = stripe.sparse_row(q);
      scores[q] = kernel_->sparse_squared_l2(query.columns.data(), query.values.data(), query.columns.size(),
                                             base.columns.data(), base.values.data(), base.columns.size());
    }
    if (!has_room_for(queries)) {
      drain(stripe, tile);
      load_thresholds();
    }
    const float for_base = base_thresholds_.as<float>()[column];
    for (std::uint64_t q = 0; q < queries; ++q) {
      const auto pair = static_cast<std::uint32_t>((q << kQueryShift) + column);
      if (scores[q] <= thresholds[q]) append(for_queries_.list, scores[q], pair);
      if (scores[q] <= for_base) append(for_bases_.list, scores[q], pair);
    }
  }
}

}  // namespace simtile::join
