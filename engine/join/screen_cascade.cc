#include "engine/join/screen_cascade.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "engine/base/checked.h"

namespace simtile::join {

using kernels::kColumnMask;
using kernels::kQueryShift;

namespace {
std::uint32_t query_of(std::uint32_t pair) noexcept { return pair >> kQueryShift; }
std::uint32_t base_of(std::uint32_t pair) noexcept { return pair & kColumnMask; }
std::uint64_t ball_count(const plan::Shapes& shapes, const plan::TilePlan& plan) noexcept {
  return divide_up(plan.tile_columns, std::uint64_t{shapes.base_width} * ScreenCascade::kPanelsOfABall);
}
}  // namespace

ScreenCascade::ScreenCascade(PageBudget& budget, const plan::Shapes& shapes, const plan::TilePlan& plan,
                             const kernels::TileKernel& kernel, const kernels::ScreenKernel& screen_kernel,
                             Metric metric)
    : shape_(shapes.screen),
      dims_(static_cast<std::uint32_t>(shapes.dims)),
      kernel_(&kernel),
      screen_kernel_(&screen_kernel),
      is_l2_(metric == Metric::kL2),
      panels_(budget, shapes.screen, plan.tile_columns, screen_kernel.base_width, screen_kernel.pack_base_panel,
              metric == Metric::kCosine),
      shared_places_(budget, plan.tile_columns * sizeof(std::uint32_t)),
      rows_(budget, plan.tile_columns * shapes.dims * sizeof(float)),
      decoded_(budget, plan.tile_columns),
      centres_(budget, ball_count(shapes, plan) * shapes.screen.panel_dims() * sizeof(float)),
      balls_(budget, ball_count(shapes, plan) * sizeof(ScreenBall)),
      ones_(budget, plan.tile_columns * sizeof(float)) {
  std::fill_n(ones_.as<float>(), plan.tile_columns, 1.0f);
}

void ScreenCascade::begin_tile(const screen::ScreenRows::Window& screen, DenseRows::Window& window,
                               std::uint64_t columns, const Stripe& stripe, std::uint64_t first_shared,
                               std::uint64_t shared, bool with_balls) {
  screen_ = &screen;
  window_ = &window;
  columns_ = columns;
  shared_ = shared;
  panels_.take(screen, 0, columns);
  place_shared_rows(stripe, first_shared);
  panels_.pack({screen.prefix(0), shape_.prefix_dims, panels_.scales()}, columns, shared, with_balls);
  if (with_balls) enclose_panels();
  std::memset(decoded_.as<std::uint8_t>(), 0, columns);
  all_loaded_ = false;
}

void ScreenCascade::enclose_panels() {
  const std::uint64_t panel_count = divide_up(columns_, screen_kernel_->base_width);
  for (std::uint64_t first = 0; first < panel_count; first += kPanelsOfABall) {
    const std::uint64_t ball = first / kPanelsOfABall;
    balls_.as<ScreenBall>()[ball] =
        panels_.ball_of_panels(first, std::min<std::uint64_t>(kPanelsOfABall, panel_count - first),
                               centres_.as<float>() + ball * panels_.dims());
  }
}

void ScreenCascade::place_shared_rows(const Stripe& stripe, std::uint64_t first_shared) {
  const std::span<std::uint32_t> rows = panels_.row_at().first(shared_);
  const auto place_of = [&](std::uint32_t row) { return stripe.place_of(first_shared + row); };
  std::iota(rows.begin(), rows.end(), 0u);
  std::sort(rows.begin(), rows.end(), [&](std::uint32_t a, std::uint32_t b) { return place_of(a) < place_of(b); });
  std::transform(rows.begin(), rows.end(), shared_places_.as<std::uint32_t>(), place_of);
}

std::uint64_t ScreenCascade::first_place_met(std::uint64_t stripe_place) const noexcept {
  const auto* places = shared_places_.as<std::uint32_t>();
  return static_cast<std::uint64_t>(std::upper_bound(places, places + shared_, stripe_place) - places);
}

void ScreenCascade::turn_places_into_rows(const Stripe& stripe, kernels::Survivors& pairs) const {
  const std::uint32_t* query_at = stripe.screen().row_at().data();
  const std::uint32_t* base_at = panels_.row_at().data();
  const auto* shared_places = shared_places_.as<std::uint32_t>();
  std::uint32_t kept = 0;
  for (std::uint32_t i = 0; i < pairs.count; ++i) {
    const std::uint32_t query = query_of(pairs.pairs[i]);
    const std::uint32_t base = base_of(pairs.pairs[i]);
    if (base < shared_ && shared_places[base] <= query) continue;
    pairs.scores[kept] = pairs.scores[i];
    pairs.pairs[kept++] = (query_at[query] << kQueryShift) + base_at[base];
  }
  pairs.count = kept;
}

bool ScreenCascade::rules_out(const ScreenBall& queries, std::uint32_t first_panel, double limit) const noexcept {
  return largest_product(queries, balls_.as<ScreenBall>()[first_panel / kPanelsOfABall], panels_.dims()) < limit;
}

void ScreenCascade::settle(const Stripe& stripe, const Limits& limits, kernels::Survivors& pairs) {
  turn_places_into_rows(stripe, pairs);
  if (pairs.count == 0) return;
  counts_.first += pairs.count;
  if (shape_.next_dims != 0) {
    bound_by_more_coordinates(stripe, pairs);
    drop_decided(limits, pairs);
  }
  counts_.next += pairs.count;
  decode_bases(pairs);
  bound_by_rows(stripe, pairs);
  drop_decided(limits, pairs);
  counts_.scored += pairs.count;
  const kernels::RescorePairs rescore = is_l2_ ? kernel_->squared_l2_of_row_pairs : kernel_->inner_product_of_row_pairs;
  rescore(stripe.row(0), rows_.as<float>(), dims_, pairs.pairs, pairs.count, pairs.scores);
}

// In the place of what the first coordinates left out: the next ones, and what those leave out. A first bound that was
// not an exact product is forgotten.
void ScreenCascade::bound_by_more_coordinates(const Stripe& stripe, kernels::Survivors& pairs) const {
  const ScreenPanels& queries = stripe.screen();
  const bool goes_on = shape_.next_begin == shape_.first_dims;
  const float* query_slack = queries.slack();
  const float* base_slack = panels_.slack();
  const float* query_first = queries.first_residuals();
  const float* query_next = queries.next_residuals();
  const float* base_first = panels_.first_residuals();
  const float* base_next = panels_.next_residuals();
  for (std::uint32_t i = 0; i < pairs.count; ++i) {
    const std::uint32_t q = query_of(pairs.pairs[i]);
    const std::uint32_t b = base_of(pairs.pairs[i]);
    const float before = goes_on ? pairs.scores[i] - query_first[q] * base_first[b] : query_slack[q] * base_slack[b];
    pairs.scores[i] = before + query_next[q] * base_next[b];
  }
  const kernels::PairProducts rows{.queries = stripe.coordinates() + shape_.next_begin,
                                   .bases = screen_->prefix(0) + shape_.next_begin,
                                   .factors = panels_.scales(),
                                   .query_stride = shape_.kept_dims(),
                                   .base_stride = shape_.prefix_dims,
                                   .dims = static_cast<std::uint32_t>(shape_.second_dims())};
  kernel_->add_pair_products(rows, pairs.pairs, pairs.count, pairs.scores);
}

void ScreenCascade::bound_by_rows(const Stripe& stripe, kernels::Survivors& pairs) const {
  const float* query_slack = stripe.screen().slack();
  const float* base_slack = panels_.slack();
  for (std::uint32_t i = 0; i < pairs.count; ++i)
    pairs.scores[i] = query_slack[query_of(pairs.pairs[i])] * base_slack[base_of(pairs.pairs[i])];
  const kernels::PairProducts rows{stripe.row(0), rows_.as<float>(), ones_.as<float>(), dims_, dims_, dims_};
  kernel_->add_pair_products(rows, pairs.pairs, pairs.count, pairs.scores);
}

// Keeps, in order and without a branch, the pairs whose bound either row's threshold lets through.
void ScreenCascade::drop_decided(const Limits& limits, kernels::Survivors& pairs) const {
  std::uint32_t kept = 0;
  for (std::uint32_t i = 0; i < pairs.count; ++i) {
    const std::uint32_t pair = pairs.pairs[i];
    const float bound = pairs.scores[i];
    const std::uint32_t q = query_of(pair);
    const std::uint32_t b = base_of(pair);
    float for_query = limits.query_thresholds[q];
    float for_base = limits.base_thresholds[b];
    if (is_l2_) {
      for_query += limits.base_offsets[b];
      for_base += limits.query_offsets[q];
    }
    pairs.pairs[kept] = pair;
    pairs.scores[kept] = bound;
    kept += static_cast<std::uint32_t>(bound >= for_query) | static_cast<std::uint32_t>(bound >= for_base);
  }
  pairs.count = kept;
}

// Where many base rows are wanted, all are: loading them row by row would cost more.
void ScreenCascade::decode_bases(const kernels::Survivors& pairs) {
  auto* decoded = decoded_.as<std::uint8_t>();
  if (!all_loaded_ && pairs.count > columns_ / 8) {
    window_->load(0, columns_);
    all_loaded_ = true;
  }
  for (std::uint32_t i = 0; i < pairs.count; ++i) {
    const std::uint32_t b = base_of(pairs.pairs[i]);
    if (decoded[b] != 0) continue;
    if (!all_loaded_) window_->load(b, 1);
    window_->decode(b, rows_.as<float>() + std::size_t{b} * dims_);
    decoded[b] = 1;
  }
}

}  // namespace simtile::join
