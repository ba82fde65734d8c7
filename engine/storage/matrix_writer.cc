#include "engine/storage/matrix_writer.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "engine/base/checked.h"
#include "engine/storage/element.h"
#include "engine/storage/row_norm.h"
#include "simtile/error.h"

namespace simtile::storage {
namespace {

// True when all are finite: the exponent's eight bits are all ones for NaN and infinity alone. Written without an
// early exit so that it vectorises.
bool all_finite(std::span<const float> values) noexcept {
  std::uint32_t bad = 0;
  for (const float value : values) {
    std::uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    bad |= static_cast<std::uint32_t>((bits & 0x7f800000u) == 0x7f800000u);
  }
  return bad == 0;
}

const MatrixWriterOptions& checked(const MatrixWriterOptions& options) {
  if (options.columns == 0)
    throw Error(ErrorCode::kCorrupt, "'" + options.source_name + "' has no columns; rows need at least one");
  if (options.columns >= (std::uint64_t{1} << 32))
    throw Error(ErrorCode::kCorrupt, "'" + options.source_name + "' has " + std::to_string(options.columns) +
                                         " columns; at most 4294967295 are supported");
  if (options.layout == MatrixLayout::kCsr && options.element_type != ElementType::kF32)
    throw Error(ErrorCode::kInvalidArgument, "a sparse matrix is stored as f32; leave --dtype out");
  return options;
}

}  // namespace

MatrixWriter::MatrixWriter(const std::string& path, const MatrixWriterOptions& options)
    : options_(checked(options)),
      path_(path),
      out_(path, kMatrixMagic, options_.durability),
      payload_(out_.begin_section(options_.layout == MatrixLayout::kDense ? SectionKind::kRows : SectionKind::kValues)),
      columns_(path),
      row_starts_(path),
      scales_(path),
      norms_(path) {
  if (options_.id_kind != IdKind::kNone) ids_.emplace(path, options_.id_kind);
  if (options_.layout == MatrixLayout::kDense)
    row_stride_bytes_ = round_up(options_.columns * element_bytes(options_.element_type), kRowAlignment);
  encoded_.assign(static_cast<std::size_t>(row_stride_bytes_), std::byte{0});
}

void MatrixWriter::refuse_value(std::uint64_t column, float value, const std::string& why) const {
  throw Error(ErrorCode::kCorrupt, "'" + options_.source_name + "' has " + std::to_string(value) + " in row " +
                                       std::to_string(rows_) + ", column " + std::to_string(column) + why);
}

void MatrixWriter::check_finite(std::span<const float> values, std::span<const std::uint32_t> columns) const {
  if (all_finite(values)) return;
  for (std::size_t i = 0; i < values.size(); ++i)
    if (!std::isfinite(values[i]))
      refuse_value(columns.empty() ? i : columns[i], values[i],
                   ", which cannot be compared with anything; clean the input and import it again");
}

void MatrixWriter::append_rows(std::span<const float> values) {
  for (std::size_t at = 0; at < values.size(); at += options_.columns) append_dense_row(values.data() + at);
}

void MatrixWriter::append_dense_row(const float* values) {
  const auto columns = static_cast<std::size_t>(options_.columns);
  check_finite({values, columns}, {});
  if (options_.normalize) {
    const double inverse = inverse_norm(row_norm(values, columns));
    scratch_.resize(columns);
    std::transform(values, values + columns, scratch_.begin(), [&](float v) { return unit_value(v, inverse); });
    values = scratch_.data();
  }
  float scale = 1.0f;
  const std::size_t stuck =
      encode_row(options_.element_type, values, columns, options_.integers_as_they_are, encoded_.data(), &scale);
  if (stuck != columns)
    refuse_value(stuck, values[stuck],
                 ", which " + std::string(to_string(options_.element_type)) + " cannot hold; choose another --dtype");
  payload_.append(encoded_);
  if (options_.element_type == ElementType::kI8) scales_.append(std::as_bytes(std::span(&scale, 1)));
  if (options_.element_type != ElementType::kF32) {
    // Norms are of the values as stored, which is what scores are made of.
    scratch_.resize(columns);
    decode_row(options_.element_type, encoded_.data(), columns, scale, scratch_.data());
    values = scratch_.data();
  }
  const double norm = row_norm(values, columns);
  norms_.append(std::as_bytes(std::span(&norm, 1)));
  ++rows_;
}

void MatrixWriter::append_sparse_row(std::span<const std::uint32_t> columns, std::span<const float> values) {
  check_finite(values, columns);
  kept_columns_.clear();
  scratch_.clear();
  for (std::size_t i = 0; i < columns.size(); ++i) {
    if (columns[i] >= options_.columns || (i > 0 && columns[i] <= columns[i - 1]))
      throw Error(ErrorCode::kCorrupt, "'" + options_.source_name + "' has column " + std::to_string(columns[i]) +
                                           " in row " + std::to_string(rows_) + " out of order or beyond its " +
                                           std::to_string(options_.columns) + " columns; sort and deduplicate it");
    if (values[i] == 0.0f) continue;
    kept_columns_.push_back(columns[i]);
    scratch_.push_back(values[i]);
  }
  double norm = sparse_row_norm(kept_columns_.data(), scratch_.data(), scratch_.size());
  if (options_.normalize) {
    const double inverse = inverse_norm(norm);
    for (float& value : scratch_) value = unit_value(value, inverse);
    norm = sparse_row_norm(kept_columns_.data(), scratch_.data(), scratch_.size());
  }
  row_starts_.append(std::as_bytes(std::span(&nonzeros_, 1)));
  payload_.append(std::as_bytes(std::span(scratch_)));
  columns_.append(std::as_bytes(std::span(kept_columns_)));
  norms_.append(std::as_bytes(std::span(&norm, 1)));
  nonzeros_ += scratch_.size();
  ++rows_;
}

void MatrixWriter::append_id(std::uint64_t id) { ids_->append(id); }
void MatrixWriter::append_id(std::string_view id) { ids_->append(id); }

void MatrixWriter::end_csr_sections() {
  row_starts_.append(std::as_bytes(std::span(&nonzeros_, 1)));
  SectionWriter columns = out_.begin_section(SectionKind::kColumns);
  columns_.copy_to(columns);
  out_.end_section(std::move(columns));
  SectionWriter starts = out_.begin_section(SectionKind::kRowStarts);
  row_starts_.copy_to(starts);
  out_.end_section(std::move(starts));
}

std::uint64_t MatrixWriter::finish() {
  if (rows_ == 0)
    throw Error(ErrorCode::kCorrupt, "'" + options_.source_name + "' has no rows; there is nothing to compare");
  if (ids_ && ids_->rows() != rows_)
    throw Error(ErrorCode::kCorrupt, "'" + options_.source_name + "' has " + std::to_string(rows_) + " rows but " +
                                         std::to_string(ids_->rows()) + " ids; give one id for each row");
  out_.end_section(std::move(payload_));
  if (options_.layout == MatrixLayout::kCsr) end_csr_sections();
  if (scales_.bytes() > 0) {
    SectionWriter scales = out_.begin_section(SectionKind::kRowScales);
    scales_.copy_to(scales);
    out_.end_section(std::move(scales));
  }
  SectionWriter norms = out_.begin_section(SectionKind::kRowNorms);
  norms_.copy_to(norms);
  out_.end_section(std::move(norms));
  if (ids_) ids_->write_sections(out_);

  MatrixBody body{};
  body.layout = static_cast<std::uint32_t>(options_.layout);
  body.element_type = static_cast<std::uint32_t>(options_.element_type);
  body.rows = rows_;
  body.columns = options_.columns;
  body.row_stride_bytes = row_stride_bytes_;
  body.nonzeros = nonzeros_;
  body.id_kind = static_cast<std::uint32_t>(options_.id_kind);
  body.flags = options_.normalize ? kMatrixNormalized : 0;
  return out_.finish(std::as_bytes(std::span(&body, 1)));
}

}  // namespace simtile::storage
