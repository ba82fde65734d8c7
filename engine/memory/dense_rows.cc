#include "engine/memory/dense_rows.h"

#include <cstring>

#include "engine/base/wide_clones.h"
#include "engine/storage/element.h"
#include "engine/storage/row_norm.h"

namespace simtile {
namespace {

float load_float(const Lease& lease, std::uint64_t index) noexcept {
  float value;
  std::memcpy(&value, lease.data() + index * sizeof value, sizeof value);
  return value;
}

double load_double(const Lease& lease, std::uint64_t index) noexcept {
  double value;
  std::memcpy(&value, lease.data() + index * sizeof value, sizeof value);
  return value;
}

// One rounding of an exact product each, so the same at any width.
SIMTILE_WIDE_CLONES
void scale_to_unit(float* values, std::size_t count, double inverse) noexcept {
  for (std::size_t i = 0; i < count; ++i) values[i] = unit_value(values[i], inverse);
}

}  // namespace

DenseRows::DenseRows(const storage::MatrixFile& matrix,
                     const std::shared_ptr<const std::vector<std::uint64_t>>& checksums, PageBudget& budget,
                     bool unit_norm)
    : matrix_(&matrix),
      unit_norm_(unit_norm),
      rows_(matrix.container(), *matrix.section(storage::SectionKind::kRows), checksums, budget) {
  if (matrix.element_type() == ElementType::kI8)
    scales_.emplace(matrix.container(), *matrix.section(storage::SectionKind::kRowScales), checksums, budget);
  const storage::SectionEntry* norms = matrix.section(storage::SectionKind::kRowNorms);
  if (unit_norm && norms != nullptr) norms_.emplace(matrix.container(), *norms, checksums, budget);
}

DenseRows::Window DenseRows::window(std::uint64_t first_row, std::uint64_t rows) {
  Window window;
  window.type_ = matrix_->element_type();
  window.unit_norm_ = unit_norm_;
  window.columns_ = static_cast<std::size_t>(matrix_->columns());
  window.stride_bytes_ = static_cast<std::size_t>(matrix_->row_stride_bytes());
  window.rows_ = rows_.lease(first_row * window.stride_bytes_, rows * window.stride_bytes_);
  if (scales_) window.scales_ = scales_->lease(first_row * sizeof(float), rows * sizeof(float));
  if (norms_) window.norms_ = norms_->lease(first_row * sizeof(double), rows * sizeof(double));
  window.has_norms_ = norms_.has_value();
  return window;
}

void DenseRows::prefetch(std::uint64_t first_row, std::uint64_t rows) noexcept {
  rows_.prefetch(first_row * matrix_->row_stride_bytes(), rows * matrix_->row_stride_bytes());
}

const float* DenseRows::Window::direct(std::uint64_t row_in_window) const noexcept {
  if (type_ != ElementType::kF32 || unit_norm_) return nullptr;
  return reinterpret_cast<const float*>(rows_.data() + row_in_window * stride_bytes_);
}

std::optional<double> DenseRows::Window::factor(std::uint64_t row_in_window) const noexcept {
  const float scale = type_ == ElementType::kI8 ? load_float(scales_, row_in_window) : 1.0f;
  if (!unit_norm_) return stored_row_factor(scale, 1.0);
  if (!has_norms_) return std::nullopt;
  return stored_row_factor(scale, inverse_norm(load_double(norms_, row_in_window)));
}

void DenseRows::Window::load(std::uint64_t first, std::uint64_t rows) {
  rows_.load(first * stride_bytes_, rows * stride_bytes_);
  if (type_ == ElementType::kI8) scales_.load(first * sizeof(float), rows * sizeof(float));
  if (has_norms_) norms_.load(first * sizeof(double), rows * sizeof(double));
}

void DenseRows::Window::close() {
  rows_.close();
  scales_.close();
  norms_.close();
}

void DenseRows::Window::decode_stored(std::uint64_t row_in_window, float* values) const noexcept {
  const float scale = type_ == ElementType::kI8 ? load_float(scales_, row_in_window) : 1.0f;
  storage::decode_row(type_, rows_.data() + row_in_window * stride_bytes_, columns_, scale, values);
}

void DenseRows::Window::decode(std::uint64_t row_in_window, float* values) const noexcept {
  decode_stored(row_in_window, values);
  if (!unit_norm_) return;
  const double norm = has_norms_ ? load_double(norms_, row_in_window) : row_norm(values, columns_);
  scale_to_unit(values, columns_, inverse_norm(norm));
}

void DenseRows::decode_row(std::uint64_t row, std::span<std::byte> stored, float* values) {
  const auto columns = static_cast<std::size_t>(matrix_->columns());
  rows_.read(row * row_stride_bytes(), stored.first(static_cast<std::size_t>(row_stride_bytes())));
  float scale = 1.0f;
  if (scales_) scales_->read(row * sizeof scale, std::as_writable_bytes(std::span(&scale, 1)));
  storage::decode_row(matrix_->element_type(), stored.data(), columns, scale, values);
  if (!unit_norm_) return;
  double norm = 0.0;
  if (norms_)
    norms_->read(row * sizeof norm, std::as_writable_bytes(std::span(&norm, 1)));
  else
    norm = row_norm(values, columns);
  scale_to_unit(values, columns, inverse_norm(norm));
}

}  // namespace simtile
