// Tiles of several fields, or of sparse rows, whose scores are made in a block and then compared (field_scorer.h).
#include "engine/join/tile_scorer.h"
#include "engine/join/tile_scorer_strips.h"

namespace simtile::join {

void TileScorer::score_fields(const Stripe& stripe, const plan::Tile& tile, Side& base) {
  fields_->begin_tile(base, stripe.fields(), tile);
  look_where_it_pays(
      stripe, tile, shapes_.plans_a_look() && fields_->all_fit(stripe.fields()),
      [&](StripeRows rows) {
        fields_->give_scores();
        score_field_rows(stripe, tile, rows);
      },
      [&](StripeRows rows) {
        fields_->give_bounds();
        score_field_rows(stripe, tile, rows);
      });
}

void TileScorer::score_field_rows(const Stripe& stripe, const plan::Tile& tile, StripeRows rows) {
  load_base_thresholds(tile);
  walk_strips(
      stripe, tile, rows, nullptr, 0, 0, [](std::uint64_t) -> const float* { return nullptr; },
      [&](kernels::Strip& strip, std::uint64_t row) {
        load_query_thresholds(stripe, tile, row, strip.query_rows, 0);
        const auto first_column = static_cast<std::uint32_t>(strip.base_thresholds - base_thresholds_.as<float>());
        kernels::ScoreBlock block = fields_->score(stripe.fields(), row, strip.query_rows, first_column);
        block.query_thresholds = query_thresholds_.as<float>();
        block.base_thresholds = strip.base_thresholds;
        block.first_pair = strip.first_pair;
        if (!looks_first_) {
          block_kernel_->compare_scores(block, for_queries_.list, for_bases_.list);
          return;
        }
        const std::uint32_t first = for_queries_.list.count;
        block_kernel_->compare_bounds(block, for_queries_.list);
        scored_by_definition_ += for_queries_.list.count - first;
        fields_->score_survivors(stripe.fields(), row, first, for_queries_.list);
      });
}

}  // namespace simtile::join
