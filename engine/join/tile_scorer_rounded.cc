// Tiles with a first look: while few pairs survive, they are all bounded in bfloat16 and the definition scores those
// that are left; otherwise every pair is scored by the definition's kernel, from panels packed on the way.
#include <algorithm>
#include <numeric>

#include "engine/base/checked.h"
#include "engine/join/tile_scorer.h"
#include "engine/join/tile_scorer_strips.h"

namespace simtile::join {

void TileScorer::score_rounded(const Stripe& stripe, const plan::Tile& tile, DenseRows::Window& window) {
  const std::uint64_t columns = tile.base_end - tile.base_begin;
  load(window, 0, columns);
  rounded_->clear();
  rounded_->load(window, 0, columns);
  window.close();
  look_where_it_pays(
      stripe, tile, rounded_->all_fit() && stripe.rounded().all_fit(),
      [&](StripeRows rows) { score_rows_directly(stripe, tile, rows); },
      [&](StripeRows rows) { look_first(stripe, tile, rows); });
}

// So many query rows of the stripe are scored directly, so that rows without K neighbours find some: all of whose pairs
// would survive a look. Whether there are such rows is told by a few of them.
std::uint64_t TileScorer::rows_before_a_look(const Stripe& stripe, const plan::Tile& tile) const noexcept {
  constexpr std::uint64_t kRowsAsked = 8;
  constexpr std::uint64_t kRowsForEachNeighbour = 20;
  const auto some_open = [&](std::uint64_t begin, std::uint64_t end) {
    const std::uint64_t step = divide_up(end - begin, kRowsAsked);
    for (std::uint64_t row = begin; row < end; row += step)
      if (state_->bounds().load(row) == topk::kNoBound) return true;
    return false;
  };
  const bool queries_open = some_open(tile.query_begin, tile.query_end);
  if (!feeds_base_rows(tile)) return queries_open ? stripe.rows() : 0;
  if (!queries_open && !some_open(tile.base_begin, tile.base_end)) return 0;
  // Strips of both kernels begin there.
  const std::uint64_t strips = std::lcm(std::uint64_t{kernel_->query_width}, std::uint64_t{shapes_.query_width});
  return std::min(stripe.rows(), round_up(kept_ * kRowsForEachNeighbour, strips));
}

void TileScorer::look_first(const Stripe& stripe, const plan::Tile& tile, StripeRows rows) {
  by_product_ = metric_ == Metric::kL2;
  rounded_->pack(tile.base_end - tile.base_begin);
  load_base_thresholds(tile);
  const kernels::ScreenStrip screen_strip = by_product_ ? screen_kernel_->squared_l2 : screen_kernel_->inner_product;
  walk_strips(
      stripe, tile, rows, rounded_->panel(0), rounded_->panel_floats(), rounded_->panel_dims(),
      [&](std::uint64_t panel) { return stripe.rounded().panel(panel); },
      [&](kernels::Strip& strip, std::uint64_t row) {
        load_query_thresholds(stripe, tile, row, strip.query_rows, 0);
        strip.query_thresholds = query_thresholds_.as<float>();
        strip.query_offsets = query_offsets_.as<float>();
        screen_strip(strip, for_queries_.list);
      });
}

void TileScorer::score_rows_directly(const Stripe& stripe, const plan::Tile& tile, StripeRows rows) {
  by_product_ = false;
  load_base_thresholds(tile);
  const auto dims = static_cast<std::uint32_t>(shapes_.dims);
  const std::uint32_t width = kernel_->base_width;
  rounded_->pack_exactly(kernel_->pack_base_panel, width, tile.base_end - tile.base_begin, panels_.as<float>());
  const kernels::ScoreStrip score_strip = metric_ == Metric::kL2 ? kernel_->squared_l2 : kernel_->inner_product;
  walk_strips(
      stripe, tile, rows, panels_.as<float>(), std::uint64_t{dims} * width, dims,
      [&](std::uint64_t panel) {
        const std::uint64_t row = panel * strip_width_;
        kernel_->pack_query_panel(
            stripe.rounded().row(row), dims,
            static_cast<std::uint32_t>(std::min<std::uint64_t>(strip_width_, stripe.rows() - row)), dims,
            scratch_.as<float>());
        return static_cast<const float*>(scratch_.as<float>());
      },
      [&](kernels::Strip& strip, std::uint64_t row) {
        load_query_thresholds(stripe, tile, row, strip.query_rows, 0);
        strip.query_thresholds = query_thresholds_.as<float>();
        score_strip(strip, for_queries_.list, for_bases_.list);
      });
}

std::uint64_t TileScorer::pairs_of(const Stripe& stripe, const plan::Tile& tile, StripeRows rows) const noexcept {
  std::uint64_t pairs = 0;
  for (std::uint64_t row = stripe.begin() + rows.begin; row < stripe.begin() + rows.end; ++row) {
    const std::uint64_t first = feeds_base_rows(tile) ? std::max(row + 1, tile.base_begin) : tile.base_begin;
    if (first < tile.base_end) pairs += tile.base_end - first;
  }
  return pairs;
}

}  // namespace simtile::join
