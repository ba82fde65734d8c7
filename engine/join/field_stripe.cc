#include "engine/join/field_stripe.h"

#include <algorithm>

#include "engine/base/checked.h"
#include "engine/join/stripe.h"
#include "engine/plan/memory_model.h"
#include "engine/storage/row_norm.h"

namespace simtile::join {
namespace {

constexpr auto is_not_zero = [](float value) { return value != 0.0f; };

}  // namespace

void mark_present(const DenseRows::Window& window, std::uint64_t rows, std::uint64_t dims, float* scratch,
                  std::uint32_t bit, std::uint32_t* present) noexcept {
  for (std::uint64_t r = 0; r < rows; ++r) {
    window.decode_stored(r, scratch);
    if (std::any_of(scratch, scratch + dims, is_not_zero)) present[r] |= bit;
  }
}

void mark_present(const SparseRows::Window& window, std::uint64_t rows, std::uint32_t bit,
                  std::uint32_t* present) noexcept {
  for (std::uint64_t r = 0; r < rows; ++r) {
    const std::span<const float> values = window.row(r).values;
    if (std::any_of(values.begin(), values.end(), is_not_zero)) present[r] |= bit;
  }
}

FieldStripe::FieldStripe(PageBudget& budget, const plan::Shapes& shapes, const plan::TilePlan& plan,
                         const kernels::TileKernel& kernel, const kernels::ScreenKernel& screen_kernel)
    : shapes_(&shapes),
      panel_width_(shapes.query_width),
      pack_panel_(kernel.pack_query_panel),
      rows_at_once_(plan::packing_rows(shapes)),
      fields_(shapes.fields.size()) {
  for (std::size_t f = 0; f < fields_.size(); ++f) {
    const plan::FieldShape& shape = shapes.fields[f];
    Field& field = fields_[f];
    if (shape.sparse) {
      const std::uint64_t bytes = plan::most_window_bytes(shape.query, plan.stripe_rows);
      field.values = BudgetedMemory(budget, bytes / 2);
      field.columns = BudgetedMemory(budget, bytes / 2);
      field.ends = BudgetedMemory(budget, (plan.stripe_rows + 1) * sizeof(std::uint32_t));
      field.numbers = BudgetedMemory(budget, shape.dims * sizeof(std::uint32_t));
    } else if (shape.rounded_floats != 0) {
      field.rounded.emplace(budget, shape.dims, shape.rounded_floats, plan.stripe_rows, panel_width_,
                            screen_kernel.pack_query_panel);
      field.scratch = BudgetedMemory(budget, shape.dims * sizeof(float));
    } else {
      const std::uint64_t panel_bytes = panel_width_ * shape.dims * sizeof(float);
      field.panels = BudgetedMemory(budget, divide_up(plan.stripe_rows, panel_width_) * panel_bytes);
      field.scratch = BudgetedMemory(budget, panel_bytes);
    }
  }
  if (shapes.renormalize) present_ = BudgetedMemory(budget, plan.stripe_rows * sizeof(std::uint32_t));
}

void FieldStripe::pack(Side& queries, std::uint64_t begin, std::uint64_t end) {
  if (shapes_->renormalize) std::fill_n(present_.as<std::uint32_t>(), end - begin, 0u);
  for (std::size_t f = 0; f < fields_.size(); ++f) {
    Side& side = queries.field(f);
    if (side.sparse)
      pack_sparse(f, *side.sparse, begin, end);
    else
      pack_dense(f, *side.dense, begin, end);
  }
}

void FieldStripe::pack_dense(std::size_t f, DenseRows& rows, std::uint64_t begin, std::uint64_t end) {
  std::optional<RoundedRows>& rounded = fields_[f].rounded;
  if (rounded) rounded->clear();
  for (std::uint64_t at = begin; at < end; at += rows_at_once_) {
    const std::uint64_t count = std::min(rows_at_once_, end - at);
    DenseRows::Window window = rows.window(at, count);
    window.load(0, count);
    take_rows(f, window, at - begin, count);
    window.close();
  }
  if (rounded && rounded->all_fit()) rounded->pack(end - begin);
}

// The window's rows become the stripe's rows from `at` on.
void FieldStripe::take_rows(std::size_t f, const DenseRows::Window& window, std::uint64_t at, std::uint64_t rows) {
  Field& field = fields_[f];
  const std::uint64_t dims = shapes_->fields[f].dims;
  auto* scratch = field.scratch.as<float>();
  if (field.rounded)
    field.rounded->load(window, at, rows);
  else
    pack_panels(window, 0, rows, panel_width_, dims, pack_panel_, scratch, field.panels.as<float>() + at * dims);
  if (shapes_->renormalize) mark_present(window, rows, dims, scratch, 1u << f, present_.as<std::uint32_t>() + at);
}

void FieldStripe::pack_sparse(std::size_t f, SparseRows& rows, std::uint64_t begin, std::uint64_t end) {
  Field& field = fields_[f];
  auto* ends = field.ends.as<std::uint32_t>();
  auto* columns = field.columns.as<std::uint32_t>();
  auto* values = field.values.as<float>();
  const std::size_t room = field.values.bytes() / sizeof(float);
  std::uint32_t used = 0;
  for (std::uint64_t at = begin; at < end; at += rows_at_once_) {
    const std::uint64_t count = std::min(rows_at_once_, end - at);
    SparseRows::Window window = rows.window(at, count);
    for (std::uint64_t r = 0; r < count; ++r) {
      const SparseRow row = window.row(r);
      ends[at + r - begin] = used;
      // Row starts of a file that is cut just now may say more than there is room for; close() tells.
      const std::size_t held = std::min(row.columns.size(), room - used);
      for (std::size_t i = 0; i < held; ++i, ++used) {
        columns[used] = row.columns[i];
        values[used] = unit_value(row.values[i], row.inverse_norm);
      }
    }
    if (shapes_->renormalize) mark_present(window, count, 1u << f, present_.as<std::uint32_t>() + (at - begin));
    window.close();
  }
  ends[end - begin] = used;
  renumber_columns(field, shapes_->fields[f].dims, used);
}

// The columns that the packed rows hold, in ascending order; the rows' columns become their numbers.
void FieldStripe::renumber_columns(Field& field, std::uint64_t dims, std::uint32_t used) {
  auto* numbers = field.numbers.as<std::uint32_t>();
  auto* columns = field.columns.as<std::uint32_t>();
  std::fill_n(numbers, dims, kNoLocalColumn);
  for (std::uint32_t i = 0; i < used; ++i) numbers[columns[i]] = 0;
  field.local_columns = 0;
  for (std::uint64_t c = 0; c < dims; ++c)
    if (numbers[c] != kNoLocalColumn) numbers[c] = field.local_columns++;
  for (std::uint32_t i = 0; i < used; ++i) columns[i] = numbers[columns[i]];
}

}  // namespace simtile::join
