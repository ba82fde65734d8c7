#include "engine/storage/matrix_file.h"

#include <cstring>

#include "engine/base/checked.h"
#include "engine/storage/id_table.h"
#include "simtile/error.h"

namespace simtile::storage {
namespace {

[[noreturn]] void refuse_matrix(const std::string& path, const std::string& why) {
  throw Error(ErrorCode::kCorrupt, "'" + path + "' " + why + "; make the file again");
}

}  // namespace

MatrixFile MatrixFile::open(const std::string& path) {
  MatrixFile matrix;
  matrix.container_ = ContainerFile::open(path, kMatrixMagic, "matrix file");
  std::memcpy(&matrix.body_, matrix.container_.header().body, sizeof matrix.body_);
  const MatrixBody& body = matrix.body_;
  if (body.rows == 0 || body.columns == 0 || body.columns >= (std::uint64_t{1} << 32))
    refuse_matrix(path,
                  "says it has " + std::to_string(body.rows) + " rows of " + std::to_string(body.columns) + " columns");
  if (element_bytes(matrix.element_type()) == 0)
    refuse_matrix(path, "has an unknown element type, " + std::to_string(body.element_type));
  if ((body.flags & ~kMatrixNormalized) != 0) refuse_matrix(path, "has unknown flags, " + std::to_string(body.flags));
  if (body.layout == static_cast<std::uint32_t>(MatrixLayout::kDense))
    matrix.check_dense();
  else if (body.layout == static_cast<std::uint32_t>(MatrixLayout::kCsr))
    matrix.check_csr();
  else
    refuse_matrix(path, "has an unknown layout, " + std::to_string(body.layout));
  if (matrix.section(SectionKind::kRowNorms) != nullptr)
    matrix.container_.require_section(SectionKind::kRowNorms,
                                      checked_multiply(body.rows, sizeof(double), ErrorCode::kCorrupt, path));
  check_id_sections(matrix.container_, check_id_kind(matrix.container_, body.id_kind), kRowIds, body.rows);
  return matrix;
}

void MatrixFile::check_dense() const {
  const std::uint64_t stride = round_up(body_.columns * element_bytes(element_type()), kRowAlignment);
  if (body_.row_stride_bytes != stride || body_.nonzeros != 0)
    refuse_matrix(path(), "says its rows are " + std::to_string(body_.row_stride_bytes) +
                              " bytes apart, but they need " + std::to_string(stride));
  container_.require_section(SectionKind::kRows, checked_multiply(body_.rows, stride, ErrorCode::kCorrupt, path()));
  if (element_type() == ElementType::kI8)
    container_.require_section(SectionKind::kRowScales,
                               checked_multiply(body_.rows, sizeof(float), ErrorCode::kCorrupt, path()));
}

void MatrixFile::check_csr() const {
  if (element_type() != ElementType::kF32 || body_.row_stride_bytes != 0)
    refuse_matrix(path(), "is sparse, but not of f32 values");
  const std::uint64_t bytes = checked_multiply(body_.nonzeros, 4, ErrorCode::kCorrupt, path());
  container_.require_section(SectionKind::kValues, bytes);
  container_.require_section(SectionKind::kColumns, bytes);
  container_.require_section(
      SectionKind::kRowStarts,
      checked_multiply(checked_add(body_.rows, 1, ErrorCode::kCorrupt, path()), 8, ErrorCode::kCorrupt, path()));
}

}  // namespace simtile::storage
