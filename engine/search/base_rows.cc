#include "engine/search/base_rows.h"

#include <cstring>

#include "engine/base/wide_clones.h"
#include "engine/storage/element.h"
#include "engine/storage/row_norm.h"

namespace simtile::search {

using storage::SectionKind;

namespace {

template <typename T>
T load(const storage::MappedContainer& mapped, const storage::SectionEntry& section, std::uint64_t index) noexcept {
  T value;
  std::memcpy(&value, mapped.data(section) + index * sizeof value, sizeof value);
  return value;
}

// One rounding of an exact product each, so the same at any width.
SIMTILE_WIDE_CLONES
void scale(const float* from, std::size_t count, double inverse, float* to) noexcept {
  for (std::size_t i = 0; i < count; ++i) to[i] = unit_value(from[i], inverse);
}

}  // namespace

BaseRows::BaseRows(const storage::MatrixGeneration& matrix, Metric metric)
    : mapped_(matrix.mapped()),
      row_section_(matrix.file().section(SectionKind::kRows)),
      scale_section_(matrix.info().element_type == ElementType::kI8 ? matrix.file().section(SectionKind::kRowScales)
                                                                    : nullptr),
      norm_section_(metric == Metric::kCosine ? matrix.file().section(SectionKind::kRowNorms) : nullptr),
      type_(matrix.info().element_type),
      unit_norm_(metric == Metric::kCosine),
      rows_(matrix.info().rows),
      dims_(matrix.info().columns),
      stride_bytes_(matrix.info().row_stride_bytes) {}

void BaseRows::check(std::uint64_t first, std::uint64_t count) const {
  mapped_->touch(*row_section_, first * stride_bytes_, count * stride_bytes_);
  if (scale_section_ != nullptr) mapped_->touch(*scale_section_, first * sizeof(float), count * sizeof(float));
  if (norm_section_ != nullptr) mapped_->touch(*norm_section_, first * sizeof(double), count * sizeof(double));
}

BaseRows::StoredView BaseRows::stored_view(std::uint64_t first, std::uint64_t count, double* factors) const {
  check(first, count);
  for (std::uint64_t r = 0; r < count; ++r) {
    const float row_scale = scale_section_ != nullptr ? load<float>(*mapped_, *scale_section_, first + r) : 1.0f;
    const double inverse = unit_norm_ ? inverse_norm(load<double>(*mapped_, *norm_section_, first + r)) : 1.0;
    factors[r] = stored_row_factor(row_scale, inverse);
  }
  return {mapped_->data(*row_section_) + first * stride_bytes_, static_cast<std::size_t>(stride_bytes_)};
}

BaseRows::View BaseRows::view(std::uint64_t first, std::uint64_t count, float* room) const {
  check(first, count);
  if (type_ == ElementType::kF32 && !unit_norm_)
    return {reinterpret_cast<const float*>(mapped_->data(*row_section_) + first * stride_bytes_),
            static_cast<std::size_t>(stride_bytes_ / sizeof(float))};
  for (std::uint64_t r = 0; r < count; ++r) decode(first + r, room + r * dims_);
  return {room, static_cast<std::size_t>(dims_)};
}

void BaseRows::decode(std::uint64_t row, float* values) const noexcept {
  const auto dims = static_cast<std::size_t>(dims_);
  const std::byte* stored = mapped_->data(*row_section_) + row * stride_bytes_;
  const auto* stored_floats = reinterpret_cast<const float*>(stored);
  if (type_ != ElementType::kF32 || !unit_norm_) {
    const float row_scale = scale_section_ != nullptr ? load<float>(*mapped_, *scale_section_, row) : 1.0f;
    storage::decode_row(type_, stored, dims, row_scale, values);
    stored_floats = values;
  }
  if (!unit_norm_) return;
  const double norm =
      norm_section_ != nullptr ? load<double>(*mapped_, *norm_section_, row) : row_norm(stored_floats, dims);
  scale(stored_floats, dims, inverse_norm(norm), values);
}

void BaseRows::scale_to_unit(float* values, std::size_t count) noexcept {
  scale(values, count, inverse_norm(row_norm(values, count)), values);
}

}  // namespace simtile::search
