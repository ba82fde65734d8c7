#include "engine/join/stripe.h"

#include <algorithm>

#include "engine/base/checked.h"
#include "engine/plan/memory_model.h"
#include "engine/storage/row_norm.h"

namespace simtile::join {

plan::RowShape row_shape(const storage::MatrixFile& matrix, Metric metric) {
  plan::RowShape shape;
  if (metric == Metric::kCosine && matrix.section(storage::SectionKind::kRowNorms) != nullptr)
    shape.bytes_beside += sizeof(double);
  if (matrix.section(storage::SectionKind::kRowScales) != nullptr) shape.bytes_beside += sizeof(float);
  if (!matrix.is_sparse()) {
    shape.bytes_on_average = shape.most_bytes = matrix.row_stride_bytes();
    shape.total_bytes = matrix.rows() * matrix.row_stride_bytes();
    return shape;
  }
  constexpr std::uint64_t kNonzeroBytes = sizeof(float) + sizeof(std::uint32_t);
  shape.total_bytes = matrix.nonzeros() * kNonzeroBytes;
  shape.bytes_on_average = divide_up(shape.total_bytes, matrix.rows()) + sizeof(std::uint64_t);
  shape.most_bytes = SparseRows::longest_row(matrix) * kNonzeroBytes;
  return shape;
}

void pack_panels(const DenseRows::Window& window, std::uint64_t first, std::uint64_t rows, std::uint32_t width,
                 std::uint64_t dims, kernels::PackPanel pack, float* scratch, float* panels) {
  const auto columns = static_cast<std::uint32_t>(dims);
  for (std::uint64_t done = 0; done < rows; done += width, panels += width * dims) {
    const auto count = static_cast<std::uint32_t>(std::min<std::uint64_t>(width, rows - done));
    if (const float* direct = window.direct(first + done)) {
      pack(direct, window.direct_stride(), count, columns, panels);
      continue;
    }
    for (std::uint32_t r = 0; r < count; ++r) window.decode(first + done + r, scratch + r * dims);
    pack(scratch, dims, count, columns, panels);
  }
}

void panel_norms(const float* panel, std::uint32_t width, std::uint64_t dims, double* norms) noexcept {
  std::fill_n(norms, width, 0.0);
  for (std::uint64_t d = 0; d < dims; ++d, panel += width)
    for (std::uint32_t r = 0; r < width; ++r) {
      const auto value = static_cast<double>(panel[r]);
      norms[r] += value * value;
    }
}

Stripe::Stripe(PageBudget& budget, const plan::Shapes& shapes, const plan::TilePlan& plan,
               const kernels::TileKernel& kernel, const kernels::ScreenKernel& screen_kernel, Metric metric)
    : metric_(metric),
      screened_(shapes.screen),
      panel_width_(shapes.query_width),
      pack_panel_(shapes.few_queries ? kernel.pack_row_query_panel : kernel.pack_query_panel),
      dims_(shapes.dims),
      rows_at_once_(plan::packing_rows(shapes)) {
  if (shapes.by_fields()) {
    fields_.emplace(budget, shapes, plan, kernel, screen_kernel);
    return;
  }
  if (shapes.sparse) {
    const std::uint64_t bytes = plan::most_window_bytes(shapes.query, plan.stripe_rows);
    values_ = BudgetedMemory(budget, bytes / 2);
    columns_ = BudgetedMemory(budget, bytes / 2);
    ends_ = BudgetedMemory(budget, (plan.stripe_rows + 1) * sizeof(std::uint32_t));
    return;
  }
  if (screened_.in_use()) {
    screen_ = ScreenPanels(budget, screened_, plan.stripe_rows, panel_width_, screen_kernel.pack_query_panel,
                           metric == Metric::kCosine);
    coordinates_ = BudgetedMemory(budget, plan.stripe_rows * screened_.kept_dims() * sizeof(float));
    places_ = BudgetedMemory(budget, plan.stripe_rows * sizeof(std::uint32_t));
    rows_ = BudgetedMemory(budget, plan.stripe_rows * dims_ * sizeof(float));
    return;
  }
  if (shapes.plans_a_look()) {
    rounded_.emplace(budget, shapes.dims, shapes.rounded_floats, plan.stripe_rows, panel_width_,
                     screen_kernel.pack_query_panel);
    return;
  }
  panel_floats_ = dims_ * panel_width_;
  panels_ = BudgetedMemory(budget, divide_up(plan.stripe_rows, panel_width_) * panel_floats_ * sizeof(float));
  scratch_ = BudgetedMemory(budget, panel_floats_ * sizeof(float));
  if (shapes.few_queries) {
    rows_ = BudgetedMemory(budget, plan.stripe_rows * dims_ * sizeof(float));
    integer_rows_ = BudgetedMemory(budget, plan.stripe_rows * dims_ * sizeof(std::int16_t));
    few_query_look_.emplace(kernel);
  } else if (metric == Metric::kL2) {
    norms_ = BudgetedMemory(budget, round_up(plan.stripe_rows, panel_width_) * sizeof(double));
  }
}

void Stripe::pack(Side& queries, std::uint64_t begin, std::uint64_t end) {
  begin_ = begin;
  end_ = end;
  if (fields_)
    fields_->pack(queries, begin, end);
  else if (screened_.in_use())
    pack_screened(queries);
  else if (rounded_)
    pack_rounded(queries);
  else if (queries.dense)
    pack_dense(queries);
  else
    pack_sparse_rows(queries);
}

void Stripe::pack_dense(Side& queries) {
  for (std::uint64_t at = begin_; at < end_; at += rows_at_once_) {
    const std::uint64_t rows = std::min(rows_at_once_, end_ - at);
    DenseRows::Window window = queries.dense->window(at, rows);
    window.load(0, rows);
    pack_panels(window, 0, rows, panel_width_, dims_, pack_panel_, scratch_.as<float>(),
                panels_.as<float>() + (at - begin_) / panel_width_ * panel_floats_);
    if (few_query_look_)
      for (std::uint64_t r = 0; r < rows; ++r) window.decode(r, rows_.as<float>() + (at - begin_ + r) * dims_);
    window.close();
  }
  if (few_query_look_)
    few_query_look_->set_queries(metric_, rows_.as<float>(), rows(), dims_, integer_rows_.as<std::int16_t>());
  if (norms_.bytes() == 0) return;
  for (std::uint64_t row = 0; row < rows(); row += panel_width_)
    panel_norms(panel(row / panel_width_), panel_width_, dims_, norms_.as<double>() + row);
}

void Stripe::pack_rounded(Side& queries) {
  rounded_->clear();
  for (std::uint64_t at = begin_; at < end_; at += rows_at_once_) {
    const std::uint64_t rows = std::min(rows_at_once_, end_ - at);
    DenseRows::Window window = queries.dense->window(at, rows);
    window.load(0, rows);
    rounded_->load(window, at - begin_, rows);
    window.close();
  }
  if (rounded_->all_fit()) rounded_->pack(rows());
}

void Stripe::pack_screened(Side& queries) {
  for (std::uint64_t at = begin_; at < end_; at += rows_at_once_) {
    const std::uint64_t rows = std::min(rows_at_once_, end_ - at);
    SideWindow window = lease_window(queries, at, rows);
    window.screen->load(0, rows);
    window.dense->load(0, rows);
    screen_.take(*window.screen, at - begin_, rows);
    for (std::uint64_t r = 0; r < rows; ++r) {
      const std::uint64_t row = at + r - begin_;
      const float scale = screen_.scales()[row];
      const float* stored = window.screen->prefix(r);
      float* scaled = coordinates_.as<float>() + row * screened_.kept_dims();
      for (std::uint64_t d = 0; d < screened_.kept_dims(); ++d) scaled[d] = stored[d] * scale;
      window.dense->decode(r, rows_.as<float>() + row * dims_);
    }
    window.close();
  }
  screen_.pack({coordinates(), screened_.kept_dims(), nullptr}, rows(), 0, true);
  for (std::uint32_t place = 0; place < rows(); ++place) places_.as<std::uint32_t>()[screen_.row_at()[place]] = place;
}

void Stripe::pack_sparse_rows(Side& queries) {
  auto* ends = ends_.as<std::uint32_t>();
  ends[0] = 0;
  for (std::uint64_t at = begin_; at < end_; at += rows_at_once_) {
    const std::uint64_t rows = std::min(rows_at_once_, end_ - at);
    SparseRows::Window window = queries.sparse->window(at, rows);
    for (std::uint64_t r = 0; r < rows; ++r) {
      const SparseRow row = window.row(r);
      std::uint32_t* end = ends + (at + r - begin_);
      std::copy(row.values.begin(), row.values.end(), values_.as<float>() + *end);
      std::copy(row.columns.begin(), row.columns.end(), columns_.as<std::uint32_t>() + *end);
      end[1] = end[0] + static_cast<std::uint32_t>(row.columns.size());
    }
    window.close();
  }
}

SparseRow Stripe::sparse_row(std::uint64_t stripe_row) const noexcept {
  const auto* ends = ends_.as<std::uint32_t>();
  const std::uint32_t start = ends[stripe_row];
  const std::size_t count = ends[stripe_row + 1] - start;
  return {{columns_.as<std::uint32_t>() + start, count}, {values_.as<float>() + start, count}, 1.0};
}

}  // namespace simtile::join
