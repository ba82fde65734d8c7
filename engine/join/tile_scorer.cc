#include "engine/join/tile_scorer.h"

#include <algorithm>
#include <limits>

#include "engine/base/checked.h"
#include "engine/join/tile_scorer_strips.h"
#include "engine/plan/memory_model.h"
#include "engine/storage/row_norm.h"

namespace simtile::join {

using kernels::kColumnMask;
using kernels::kQueryShift;

namespace {

void append(kernels::Survivors& survivors, float score, std::uint32_t pair) {
  survivors.scores[survivors.count] = score;
  survivors.pairs[survivors.count++] = pair;
}

}  // namespace

TileScorer::TileScorer(PageBudget& budget, const plan::Shapes& shapes, const plan::TilePlan& plan,
                       const kernels::TileKernel& kernel, const kernels::ScreenKernel& screen_kernel, Metric metric,
                       TopKState& state)
    : shapes_(shapes),
      kernel_(&kernel),
      screen_kernel_(&screen_kernel),
      strip_width_(shapes.query_width),
      metric_(metric),
      larger_better_(topk::larger_is_better(metric)),
      state_(&state),
      kept_(plan.kept),
      survivor_capacity_(plan::survivor_capacity(shapes, plan)),
      margin_(shapes.dims),
      block_kernel_(&kernels::block_kernel_of(kernel)) {
  const std::uint64_t columns = round_up(plan.tile_columns, shapes.base_width);
  const bool whole_stripe = (shapes.sparse && !shapes.by_fields()) || shapes.few_queries || shapes.screen.in_use();
  const std::uint64_t limited_rows =
      whole_stripe ? round_up(plan.stripe_rows, shapes.query_width) : std::uint64_t{shapes.query_width};
  for_queries_ = make_survivor_buffer(budget);
  for_bases_ = make_survivor_buffer(budget);
  query_thresholds_ = BudgetedMemory(budget, limited_rows * sizeof(float));
  if (shapes.few_queries) {
    scratch_ = BudgetedMemory(budget, plan::rows_scored_at_once(shapes) * shapes.dims * sizeof(float));
    return;
  }
  base_thresholds_ = BudgetedMemory(budget, columns * sizeof(float));
  if (shapes.by_fields()) {
    fields_.emplace(budget, shapes, plan, kernel, screen_kernel);
  } else if (shapes.sparse) {
    row_scores_ = BudgetedMemory(budget, plan.stripe_rows * sizeof(float));
  } else {
    partial_ = BudgetedMemory(budget, shapes.query_width * columns * sizeof(float));
    if (metric == Metric::kL2) {
      base_offsets_ = BudgetedMemory(budget, columns * sizeof(float));
      query_offsets_ = BudgetedMemory(budget, limited_rows * sizeof(float));
    }
    if (shapes.screen.in_use()) {
      cascade_.emplace(budget, shapes, plan, kernel, screen_kernel, metric);
    } else {
      panels_ = BudgetedMemory(budget, columns * shapes.dims * sizeof(float));
      scratch_ = BudgetedMemory(budget, std::max(kernel.base_width, kernel.query_width) * shapes.dims * sizeof(float));
      if (shapes.rounded_floats != 0)
        rounded_.emplace(budget, shapes.dims, shapes.rounded_floats, plan.tile_columns, screen_kernel.base_width,
                         screen_kernel.pack_base_panel);
      else if (metric == Metric::kL2)
        base_norms_ = BudgetedMemory(budget, columns * sizeof(double));
    }
  }
  if (shapes.self_join && !plan.resident) {
    column_bounds_.emplace(budget, plan.tile_columns, topk::kNoBound);
    column_state_.emplace(budget, *column_bounds_, kernel.prune_keys, 0, plan.tile_columns, plan.kept,
                          plan.reservoir_capacity);
    column_entries_.reserve(plan.kept);
  }
}

TileScorer::SurvivorBuffer TileScorer::make_survivor_buffer(PageBudget& budget) const {
  SurvivorBuffer buffer{BudgetedMemory(budget, survivor_capacity_ * sizeof(float)),
                        BudgetedMemory(budget, survivor_capacity_ * sizeof(std::uint32_t))};
  buffer.list = {buffer.scores.as<float>(), buffer.pairs.as<std::uint32_t>(), 0};
  return buffer;
}

bool TileScorer::has_room_for(std::uint64_t survivors) const noexcept {
  return std::max(for_queries_.list.count, for_bases_.list.count) + survivors + kernels::kSurvivorSlack <=
         survivor_capacity_;
}

void TileScorer::score(const Stripe& stripe, const plan::Tile& tile, SideWindow window) {
  if (column_state_) begin_column_state(tile);
  if (shapes_.few_queries)
    score_few_queries(stripe, tile, *window.dense);
  else if (fields_)
    score_fields(stripe, tile, *window.fields);
  else if (cascade_)
    score_screened(stripe, tile, window);
  else if (rounded_)
    score_rounded(stripe, tile, *window.dense);
  else if (window.dense)
    score_dense(stripe, tile, *window.dense);
  else
    score_sparse_l2(stripe, tile, *window.sparse);
  window.close();
  drain(stripe, tile);
  if (plans_a_look() ? tile_tells_ : metric_ == Metric::kL2 && !cascade_) choose_next_method(stripe, tile);
  survivors_of_tile_ = 0;
  if (column_state_) spill_column_state(tile);
}

// A base row's threshold counts in a self-join alone; otherwise it is one that no score passes. Padding columns get
// NaN, which lets nothing through on either side.
void TileScorer::load_base_thresholds(const plan::Tile& tile) {
  auto* thresholds = base_thresholds_.as<float>();
  const std::uint64_t columns = tile.base_end - tile.base_begin;
  if (!shapes_.self_join) {
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
  if (!cascade_) return;
  weakest_base_threshold_ = *std::min_element(thresholds, thresholds + columns);
  if (by_product_)
    least_base_offset_ = *std::min_element(base_offsets_.as<float>(), base_offsets_.as<float>() + columns);
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

// Of a strip's rows, counted from the stripe's first, to stand from `at` on; rows that do not exist get a threshold
// that lets nothing through.
void TileScorer::load_query_thresholds(const Stripe& stripe, const plan::Tile& tile, std::uint64_t first_row,
                                       std::uint32_t rows, std::uint64_t at) {
  auto* thresholds = query_thresholds_.as<float>() + at;
  for (std::uint32_t q = 0; q < rows; ++q) {
    thresholds[q] = query_threshold(stripe.begin() + first_row + q, tile);
    if (!by_product_) continue;
    const double norm = stripe.squared_norm(first_row + q);
    query_offsets_.as<float>()[at + q] = margin_.part(norm);
    thresholds[q] = margin_.part_with_threshold(norm, thresholds[q]);
  }
  const bool compares_products = larger_better_ || by_product_;
  std::fill(thresholds + rows, thresholds + strip_width_, topk::closed_threshold(compares_products));
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

// A survivor of the product is scored again, which costs about as much as fifty of its scores, and one of a first look
// about as much as ten: beyond that share, the definition's kernel is the faster way. Where the margin itself lets many
// through (rows far from the origin and near to each other), it is not tried again soon.
void TileScorer::choose_next_method(const Stripe& stripe, const plan::Tile& tile) noexcept {
  const double largest_share = plans_a_look() ? 0.09 : 0.02;
  constexpr std::uint32_t kMostTilesBeforeAnotherTry = 64;
  const auto pairs = static_cast<double>(stripe.rows() * (tile.base_end - tile.base_begin));
  const bool few = static_cast<double>(survivors_of_tile_) < largest_share * pairs;
  if (by_product_ || looks_first_) {
    // A look that fails costs ten tiles, and fails on a stripe's first tiles where it would not on later ones: each
    // failure after another waits twice as long. A product that fails costs fifty.
    const std::uint32_t longer = plans_a_look() ? 2 * tiles_before_another_try_ : kMostTilesBeforeAnotherTry;
    tiles_before_another_try_ = few ? 1 : std::min(longer, kMostTilesBeforeAnotherTry);
    if (!few) tiles_to_score_directly_ = tiles_before_another_try_;
  }
  if (tiles_to_score_directly_ > 0) --tiles_to_score_directly_;
  // With thresholds still open, a tile says nothing about the next.
  const bool decide_first = few && tiles_to_score_directly_ == 0 && (metric_ != Metric::kL2 || margin_.is_usable());
  (plans_a_look() ? next_looks_first_ : next_by_product_) = decide_first;
}

float TileScorer::query_threshold(std::uint64_t query_row, const plan::Tile& tile) const noexcept {
  return topk::threshold_score(larger_better_, state_->bounds().load(query_row), tile.base_begin);
}

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

void TileScorer::score_fields(const Stripe& stripe, const plan::Tile& tile, Side& base) {
  fields_->begin_tile(base, stripe.fields(), tile);
  look_where_it_pays(
      stripe, tile, plans_a_look() && fields_->all_fit(stripe.fields()),
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
        shapes_.self_join ? std::min(base_row - stripe.begin(), stripe.rows()) : stripe.rows();
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

void TileScorer::drain(const Stripe& stripe, const plan::Tile& tile) {
  survivors_of_tile_ += for_queries_.list.count + for_bases_.list.count;
  if (cascade_) {
    cascade_->settle(stripe,
                     {query_thresholds_.as<float>(), base_thresholds_.as<float>(), query_offsets_.as<float>(),
                      base_offsets_.as<float>()},
                     for_queries_.list);
  } else if (looks_first_ && !fields_) {
    const kernels::RescorePairs rescore =
        metric_ == Metric::kL2 ? kernel_->squared_l2_of_row_pairs : kernel_->inner_product_of_row_pairs;
    rescore(stripe.rounded().row(0), rounded_->row(0), static_cast<std::uint32_t>(shapes_.dims),
            for_queries_.list.pairs, for_queries_.list.count, for_queries_.list.scores);
    scored_by_definition_ += for_queries_.list.count;
  } else if (by_product_) {
    for (const kernels::Survivors& survivors : {for_queries_.list, for_bases_.list})
      kernel_->squared_l2_of_panel_pairs(stripe.panel(0), panels_.as<float>(), static_cast<std::uint32_t>(shapes_.dims),
                                         survivors.pairs, survivors.count, survivors.scores);
  }
  drain_to_queries(for_queries_.list, tile, stripe.begin());
  if (shapes_.self_join) drain_to_bases(has_one_list() ? for_queries_.list : for_bases_.list, tile, stripe.begin());
  for_queries_.list.count = 0;
  for_bases_.list.count = 0;
}

void TileScorer::drain_to_queries(const kernels::Survivors& survivors, const plan::Tile& tile,
                                  std::uint64_t stripe_begin) {
  TopKState::Inserter inserter(*state_);
  for (std::uint32_t i = 0; i < survivors.count; ++i) {
    const std::uint64_t query_row = stripe_begin + (survivors.pairs[i] >> kQueryShift);
    const std::uint64_t base_row = tile.base_begin + (survivors.pairs[i] & kColumnMask);
    if (shapes_.self_join && base_row <= query_row) continue;
    inserter.insert(query_row,
                    topk::make_key(larger_better_, survivors.scores[i], static_cast<std::uint32_t>(base_row)));
  }
  candidates_ += inserter.finish();
}

void TileScorer::drain_to_bases(const kernels::Survivors& survivors, const plan::Tile& tile,
                                std::uint64_t stripe_begin) {
  TopKState::Inserter inserter(*state_);
  for (std::uint32_t i = 0; i < survivors.count; ++i) {
    const std::uint64_t query_row = stripe_begin + (survivors.pairs[i] >> kQueryShift);
    const std::uint64_t column = survivors.pairs[i] & kColumnMask;
    if (tile.base_begin + column <= query_row) continue;
    const topk::Key key = topk::make_key(larger_better_, survivors.scores[i], static_cast<std::uint32_t>(query_row));
    // Rows of the running stripe are held even when the others are not.
    if (column_state_ && tile.base_begin + column >= tile.query_end)
      column_state_->insert(column, key);
    else
      inserter.insert(tile.base_begin + column, key);
  }
  candidates_ += inserter.finish();
}

void TileScorer::begin_column_state(const plan::Tile& tile) {
  const std::uint64_t columns = tile.base_end - tile.base_begin;
  column_state_->reset(0, columns);
  for (std::uint64_t c = 0; c < columns; ++c) column_bounds_->store(c, state_->bounds().load(tile.base_begin + c));
}

void TileScorer::spill_column_state(const plan::Tile& tile) {
  for (std::uint64_t c = 0; c < tile.base_end - tile.base_begin; ++c) {
    const std::uint64_t base_row = tile.base_begin + c;
    const std::span<const topk::Key> keys = column_state_->sorted(c);
    if (keys.empty()) continue;
    column_entries_.clear();
    for (const topk::Key key : keys) column_entries_.push_back(RunEntry::of(base_row, key));
    state_->spill(column_entries_);
    candidates_ += keys.size();
    if (keys.size() == kept_) state_->tighten(base_row, topk::bound_that_admits(keys.back()));
  }
}

}  // namespace simtile::join
