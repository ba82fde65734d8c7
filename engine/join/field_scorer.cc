#include "engine/join/field_scorer.h"

#include <algorithm>
#include <cmath>

#include "engine/base/checked.h"
#include "engine/base/clock.h"
#include "engine/base/wide_clones.h"
#include "engine/join/stripe.h"
#include "engine/plan/field_memory.h"
#include "engine/storage/row_norm.h"

namespace simtile::join {
namespace {

using kernels::ColumnPostings;
using kernels::kColumnMask;
using kernels::kDenseColumn;
using kernels::kQueryShift;

// A list costs about as much for each of its rows as a dense column does for so many of the tile's.
constexpr std::uint32_t kDenseShare = 10;

SIMTILE_WIDE_CLONES
void divide_all(float* sums, std::uint32_t count, float denominator) {
  for (std::uint32_t b = 0; b < count; ++b) sums[b] /= denominator;
}

// Of a block whose first row is the stripe's row first_row, the scores of these pairs.
void take_pairs(const float* block, std::uint32_t stride, std::uint64_t first_row, const std::uint32_t* pairs,
                std::uint32_t count, float* scores) noexcept {
  for (std::uint32_t i = 0; i < count; ++i)
    scores[i] = block[((pairs[i] >> kQueryShift) - first_row) * stride + (pairs[i] & kColumnMask)];
}

}  // namespace

FieldScorer::FieldScorer(PageBudget& budget, const plan::Shapes& shapes, const plan::TilePlan& plan,
                         const kernels::TileKernel& kernel, const kernels::ScreenKernel& screen_kernel)
    : shapes_(shapes),
      kernel_(&kernel),
      screen_kernel_(&screen_kernel),
      block_kernel_(&kernels::block_kernel_of(kernel)),
      sums_are_needed_(shapes.fields.size() > 1 || shapes.fields.front().weight != 1.0f || shapes.renormalize),
      fields_(shapes.fields.size()) {
  const std::uint64_t columns = round_up(plan.tile_columns, shapes.base_width);
  const std::uint64_t block_bytes = shapes.query_width * columns * sizeof(float);
  scores_ = BudgetedMemory(budget, block_bytes);
  partial_ = BudgetedMemory(budget, block_bytes);
  if (sums_are_needed_) sums_ = BudgetedMemory(budget, block_bytes);
  for (std::size_t f = 0; f < fields_.size(); ++f) {
    const plan::FieldShape& shape = shapes.fields[f];
    Field& field = fields_[f];
    if (shape.sparse) {
      const std::uint64_t bytes = plan::most_window_bytes(shape.base, plan.tile_columns);
      field.values = BudgetedMemory(budget, bytes / 2);
      field.rows = BudgetedMemory(budget, bytes / 2);
      field.postings =
          BudgetedMemory(budget, plan::most_stripe_columns(shape, plan.stripe_rows) * sizeof(ColumnPostings));
      field.dense_columns =
          BudgetedMemory(budget, std::min(plan::kMostDenseColumns, shape.dims) * columns * sizeof(float));
      if (shapes.plans_a_look()) field.scores = BudgetedMemory(budget, block_bytes);
    } else {
      field.panels = BudgetedMemory(budget, columns * shape.dims * sizeof(float));
      field.scratch = BudgetedMemory(budget, shapes.base_width * shape.dims * sizeof(float));
      if (shapes.plans_a_look())
        field.rounded.emplace(budget, shape.dims, shape.rounded_floats, plan.tile_columns, screen_kernel.base_width,
                              screen_kernel.pack_base_panel);
    }
  }
  if (shapes.plans_a_look()) {
    pair_scores_ = BudgetedMemory(budget, plan::kPairsScoredAtOnce * sizeof(float));
    pair_sums_ = BudgetedMemory(budget, plan::kPairsScoredAtOnce * sizeof(float));
  }
  if (!shapes.renormalize) return;
  present_ = BudgetedMemory(budget, columns * sizeof(std::uint32_t));
  denominators_ = BudgetedMemory(budget, plan::denominators(shapes) * sizeof(float));
  for (std::uint64_t set = 0; set < plan::denominators(shapes); ++set)
    for (std::size_t f = 0; f < fields_.size(); ++f)
      if ((set >> f & 1) != 0) denominators_.as<float>()[set] += shapes.fields[f].weight;
}

void FieldScorer::begin_tile(Side& base, const FieldStripe& stripe, const plan::Tile& tile) {
  base_rows_ = static_cast<std::uint32_t>(tile.base_end - tile.base_begin);
  columns_ = static_cast<std::uint32_t>(round_up(base_rows_, shapes_.base_width));
  if (shapes_.renormalize) std::fill_n(present_.as<std::uint32_t>(), columns_, 0u);
  for (std::size_t f = 0; f < fields_.size(); ++f) {
    Side& side = base.field(f);
    if (side.sparse)
      pack_sparse(f, *side.sparse, stripe, tile);
    else
      pack_dense(f, *side.dense, tile);
  }
}

void FieldScorer::pack_dense(std::size_t f, DenseRows& rows, const plan::Tile& tile) {
  Field& field = fields_[f];
  const std::uint64_t dims = shapes_.fields[f].dims;
  const auto start = Clock::now();
  DenseRows::Window window = rows.window(tile.base_begin, base_rows_);
  window.load(0, base_rows_);
  seconds_loading_ += seconds_since(start);
  if (field.rounded) {
    field.rounded->clear();
    field.rounded->load(window, 0, base_rows_);
  } else {
    pack_panels(window, 0, base_rows_, kernel_->base_width, dims, kernel_->pack_base_panel, field.scratch.as<float>(),
                field.panels.as<float>());
  }
  if (shapes_.renormalize)
    mark_present(window, base_rows_, dims, field.scratch.as<float>(), 1u << f, present_.as<std::uint32_t>());
  window.close();
}

bool FieldScorer::all_fit(const FieldStripe& stripe) const noexcept {
  for (std::size_t f = 0; f < fields_.size(); ++f)
    if (fields_[f].rounded && !(fields_[f].rounded->all_fit() && stripe.rounded(f).all_fit())) return false;
  return true;
}

void FieldScorer::give_bounds() {
  gives_bounds_ = true;
  for (Field& field : fields_)
    if (field.rounded) field.rounded->pack(base_rows_);
}

void FieldScorer::give_scores() {
  gives_bounds_ = false;
  for (Field& field : fields_)
    if (field.rounded)
      field.rounded->pack_exactly(kernel_->pack_base_panel, kernel_->base_width, base_rows_, field.panels.as<float>());
}

// A counting sort by local column: count, frame, place.
void FieldScorer::pack_sparse(std::size_t f, SparseRows& rows, const FieldStripe& stripe, const plan::Tile& tile) {
  Field& field = fields_[f];
  const std::uint64_t columns = tile.base_end - tile.base_begin;
  const auto start = Clock::now();
  SparseRows::Window window = rows.window(tile.base_begin, columns);
  seconds_loading_ += seconds_since(start);
  auto* postings = field.postings.as<ColumnPostings>();
  const std::uint32_t* local_columns = stripe.local_columns(f);
  std::fill_n(postings, stripe.local_column_count(f), ColumnPostings{0, 0});
  for (std::uint64_t r = 0; r < columns; ++r)
    for (const std::uint32_t column : window.row(r).columns)
      if (const std::uint32_t local = local_columns[column]; local != FieldStripe::kNoLocalColumn)
        ++postings[local].count;
  const std::uint64_t room = field.values.bytes() / sizeof(float);
  frame_postings(field, stripe.local_column_count(f), room);
  for (std::uint64_t r = 0; r < columns; ++r) {
    const SparseRow row = window.row(r);
    for (std::size_t i = 0; i < row.columns.size(); ++i) {
      const std::uint32_t local = local_columns[row.columns[i]];
      if (local == FieldStripe::kNoLocalColumn) continue;
      ColumnPostings& list = postings[local];
      const float value = unit_value(row.values[i], row.inverse_norm);
      if (list.count == kDenseColumn) {
        field.dense_columns.as<float>()[std::size_t{list.start} * columns_ + r] = value;
        continue;
      }
      // A file that is cut just now may hold other columns than were counted; close() tells.
      const std::uint64_t at = std::uint64_t{list.start} + list.count;
      if (at >= room) continue;
      field.values.as<float>()[at] = value;
      field.rows.as<std::uint32_t>()[at] = static_cast<std::uint32_t>(r);
      ++list.count;
    }
  }
  if (shapes_.renormalize) mark_present(window, columns, 1u << f, present_.as<std::uint32_t>());
  window.close();
}

// Gives each column its dense vector, or its list's place with nothing in it yet. Where more columns are heavy than
// there is room for as vectors, only the heavier ones become such.
void FieldScorer::frame_postings(Field& field, std::uint32_t local_columns, std::uint64_t room) const {
  auto* postings = field.postings.as<ColumnPostings>();
  const std::uint64_t most_dense = field.dense_columns.bytes() / (columns_ * sizeof(float));
  std::uint32_t least = std::max<std::uint32_t>(2, columns_ / kDenseShare);
  const auto heavy = [&](const ColumnPostings& column) { return column.count >= least; };
  while (static_cast<std::uint64_t>(std::count_if(postings, postings + local_columns, heavy)) > most_dense)
    least += least / 2;
  std::uint32_t dense = 0;
  std::uint64_t placed = 0;
  for (std::uint32_t c = 0; c < local_columns; ++c) {
    const std::uint32_t count = postings[c].count;
    if (heavy(postings[c])) {
      postings[c] = {dense++, kDenseColumn};
      continue;
    }
    postings[c] = {static_cast<std::uint32_t>(std::min(placed, room)), 0};
    placed += count;
  }
  std::fill_n(field.dense_columns.as<float>(), std::size_t{dense} * columns_, 0.0f);
}

kernels::ScoreBlock FieldScorer::score(const FieldStripe& stripe, std::uint64_t first_row, std::uint32_t rows,
                                       std::uint32_t first_column) {
  const std::size_t block = std::size_t{rows} * columns_;
  if (sums_are_needed_) std::fill_n(sums_.as<float>(), block, 0.0f);
  for (std::size_t f = 0; f < fields_.size(); ++f) {
    if (shapes_.fields[f].sparse)
      score_sparse(f, stripe, first_row, rows);
    else
      score_dense(f, stripe, first_row, rows, first_column);
    if (sums_are_needed_)
      block_kernel_->add_weighted(shapes_.fields[f].weight, scores_of(fields_[f]), block, sums_.as<float>());
  }
  if (shapes_.renormalize) renormalize(stripe, first_row, rows, first_column);
  kernels::ScoreBlock result{};
  result.scores = (sums_are_needed_ ? sums_ : scores_).as<float>() + first_column;
  result.stride = columns_;
  result.query_rows = rows;
  result.columns = columns_ - first_column;
  return result;
}

void FieldScorer::score_dense(std::size_t f, const FieldStripe& stripe, std::uint64_t first_row, std::uint32_t rows,
                              std::uint32_t first_column) {
  const Field& field = fields_[f];
  const auto dims = static_cast<std::uint32_t>(shapes_.fields[f].dims);
  kernels::Strip strip{};
  strip.partial_scores = partial_.as<float>();
  strip.query_rows = rows;
  strip.base_panel_count = (columns_ - first_column) / shapes_.base_width;
  float* scores = scores_.as<float>() + first_column;
  if (gives_bounds_) {
    strip.query_panel = stripe.rounded(f).panel(first_row / shapes_.query_width);
    strip.base_panels = field.rounded->panel(first_column / shapes_.base_width);
    strip.dims = field.rounded->panel_dims();
    screen_kernel_->store_bounds(strip, scores, columns_);
    return;
  }
  if (field.rounded) {
    kernel_->pack_query_panel(stripe.rounded(f).row(first_row), dims, rows, dims, field.scratch.as<float>());
    strip.query_panel = field.scratch.as<float>();
  } else {
    strip.query_panel = stripe.panel(f, first_row / kernel_->query_width);
  }
  strip.base_panels = field.panels.as<float>() + std::size_t{first_column} * dims;
  strip.dims = dims;
  kernel_->store_inner_products(strip, scores, columns_);
}

void FieldScorer::score_sparse(std::size_t f, const FieldStripe& stripe, std::uint64_t first_row, std::uint32_t rows) {
  const Field& field = fields_[f];
  const kernels::PostingsBlock bases{field.postings.as<ColumnPostings>(), field.values.as<float>(),
                                     field.rows.as<std::uint32_t>(), field.dense_columns.as<float>(), columns_};
  for (std::uint32_t q = 0; q < rows; ++q) {
    const FieldStripe::Row row = stripe.row(f, first_row + q);
    block_kernel_->score_sparse_row(bases, row.columns, row.values, row.count,
                                    scores_of(field) + std::size_t{q} * columns_);
  }
}

void FieldScorer::score_survivors(const FieldStripe& stripe, std::uint64_t first_row, std::uint32_t first,
                                  kernels::Survivors& survivors) {
  constexpr auto kMost = static_cast<std::uint32_t>(plan::kPairsScoredAtOnce);
  auto* scores = pair_scores_.as<float>();
  auto* sums = pair_sums_.as<float>();
  const std::uint32_t end = survivors.count;
  survivors.count = first;
  for (std::uint32_t at = first; at < end; at += kMost) {
    const std::uint32_t count = std::min(kMost, end - at);
    const std::uint32_t* pairs = survivors.pairs + at;
    const std::uint64_t padded = round_up(count, shapes_.base_width);
    std::fill_n(sums, padded, 0.0f);
    for (std::size_t f = 0; f < fields_.size(); ++f) {
      const Field& field = fields_[f];
      if (field.rounded)
        kernel_->inner_product_of_row_pairs(stripe.rounded(f).row(0), field.rounded->row(0),
                                            static_cast<std::uint32_t>(shapes_.fields[f].dims), pairs, count, scores);
      else
        take_pairs(scores_of(field), columns_, first_row, pairs, count, scores);
      block_kernel_->add_weighted(shapes_.fields[f].weight, scores, padded, sums);
    }
    if (shapes_.renormalize) renormalize_pairs(stripe, pairs, count, sums);
    // No NaN survives.
    for (std::uint32_t i = 0; i < count; ++i) {
      survivors.scores[survivors.count] = sums[i];
      survivors.pairs[survivors.count] = pairs[i];
      survivors.count += std::isnan(sums[i]) ? 0 : 1;
    }
  }
}

void FieldScorer::renormalize_pairs(const FieldStripe& stripe, const std::uint32_t* pairs, std::uint32_t count,
                                    float* sums) const noexcept {
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::uint32_t common =
        stripe.present(pairs[i] >> kQueryShift) & present_.as<std::uint32_t>()[pairs[i] & kColumnMask];
    sums[i] = common == 0 ? 0.0f : sums[i] / denominators_.as<float>()[common];
  }
}

// Divides by the weights of the fields that both rows have, and makes it 0 where they have none in common.
void FieldScorer::renormalize(const FieldStripe& stripe, std::uint64_t first_row, std::uint32_t rows,
                              std::uint32_t first_column) {
  const float* denominators = denominators_.as<float>();
  const auto* present = present_.as<std::uint32_t>();
  for (std::uint32_t q = 0; q < rows; ++q) {
    const std::uint32_t query = stripe.present(first_row + q);
    float* sums = sums_.as<float>() + std::size_t{q} * columns_;
    for (std::uint32_t b = first_column; b < columns_;) {
      // Base rows that lack the same fields, as most lack none, are divided at once.
      const std::uint32_t common = query & present[b];
      std::uint32_t end = b + 1;
      while (end < columns_ && (query & present[end]) == common) ++end;
      if (common == 0)
        std::fill(sums + b, sums + end, 0.0f);
      else
        divide_all(sums + b, end - b, denominators[common]);
      b = end;
    }
  }
}

}  // namespace simtile::join
