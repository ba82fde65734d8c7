#include "engine/storage/matrix_generation.h"

#include <algorithm>
#include <array>
#include <vector>

#include "engine/storage/element.h"
#include "simtile/error.h"

namespace simtile::storage {
namespace {

constexpr std::size_t kPieceNonzeros = 1024;

MatrixInfo describe(const MatrixFile& file) {
  MatrixInfo info;
  info.rows = file.rows();
  info.columns = file.columns();
  info.element_type = file.element_type();
  info.sparse = file.is_sparse();
  info.normalized = file.is_normalized();
  info.nonzeros = file.nonzeros();
  info.row_stride_bytes = file.row_stride_bytes();
  info.payload_offset = file.section(file.is_sparse() ? SectionKind::kValues : SectionKind::kRows)->offset;
  info.id_kind = id_kind_name(file.id_kind());
  info.file_bytes = file.container().header().file_bytes;
  info.identity = file.identity();
  return info;
}

}  // namespace

MatrixGeneration::MatrixGeneration(const std::string& path, const OpenOptions& options)
    : file_(MatrixFile::open(path)), info_(describe(file_)) {
  if (options.access == Access::kMapped)
    mapped_.emplace(container(), options);
  else if (options.mode == OpenMode::kFull)
    container().verify_all();
  const FileAccess access{&container(), mapped(), options.mode != OpenMode::kFast};
  ids_.emplace(access, file_.id_kind(), kRowIds, file_.rows());
  if (file_.is_sparse()) {
    starts_.emplace(access, *file_.section(SectionKind::kRowStarts));
    columns_.emplace(access, *file_.section(SectionKind::kColumns));
    values_.emplace(access, *file_.section(SectionKind::kValues));
    return;
  }
  rows_.emplace(access, *file_.section(SectionKind::kRows));
  if (file_.element_type() == ElementType::kI8) scales_.emplace(access, *file_.section(SectionKind::kRowScales));
}

void MatrixGeneration::check_row(std::uint64_t row) const {
  if (row >= info_.rows)
    throw Error(ErrorCode::kInvalidArgument, "'" + file_.path() + "' has no row " + std::to_string(row) +
                                                 "; its rows are 0 to " + std::to_string(info_.rows - 1));
}

void MatrixGeneration::read_row(std::uint64_t row, std::span<float> values) const {
  if (file_.is_sparse())
    read_csr(row, values);
  else
    read_dense(row, values);
}

void MatrixGeneration::read_dense(std::uint64_t row, std::span<float> values) const {
  const std::uint64_t stride = file_.row_stride_bytes();
  const float scale = scales_ ? scales_->read_value<float>(row) : 1.0f;
  if (mapped_) {
    const SectionEntry& section = *file_.section(SectionKind::kRows);
    mapped_->touch(section, row * stride, stride);
    decode_row(file_.element_type(), mapped_->data(section) + row * stride, values.size(), scale, values.data());
    return;
  }
  std::vector<std::byte> encoded(static_cast<std::size_t>(stride));
  rows_->read(row * stride, encoded);
  decode_row(file_.element_type(), encoded.data(), values.size(), scale, values.data());
}

void MatrixGeneration::read_csr(std::uint64_t row, std::span<float> values) const {
  const auto begin = starts_->read_value<std::uint64_t>(row);
  const auto end = starts_->read_value<std::uint64_t>(row + 1);
  if (begin > end || end > file_.nonzeros()) refuse(row, "row starts that descend or leave the file");
  std::fill(values.begin(), values.end(), 0.0f);
  std::uint64_t least_column = 0;
  for (std::uint64_t at = begin; at < end; at += kPieceNonzeros)
    scatter(row, at, std::min<std::uint64_t>(kPieceNonzeros, end - at), least_column, values);
}

// Columns ascend strictly within a row: each is at least one more than the one before it.
void MatrixGeneration::scatter(std::uint64_t row, std::uint64_t first, std::uint64_t count, std::uint64_t& least_column,
                               std::span<float> values) const {
  std::array<std::uint32_t, kPieceNonzeros> columns;
  std::array<float, kPieceNonzeros> nonzeros;
  columns_->read(first * sizeof columns[0], std::as_writable_bytes(std::span(columns).first(count)));
  values_->read(first * sizeof nonzeros[0], std::as_writable_bytes(std::span(nonzeros).first(count)));
  for (std::size_t i = 0; i < count; ++i) {
    if (columns[i] < least_column || columns[i] >= values.size())
      refuse(row, "a column out of order or beyond its " + std::to_string(values.size()));
    values[columns[i]] = nonzeros[i];
    least_column = std::uint64_t{columns[i]} + 1;
  }
}

void MatrixGeneration::refuse(std::uint64_t row, const std::string& why) const {
  check_intact();
  throw Error(ErrorCode::kCorrupt,
              "'" + file_.path() + "' has " + why + ", in row " + std::to_string(row) + "; make the file again");
}

}  // namespace simtile::storage
