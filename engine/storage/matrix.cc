#include "simtile/matrix.h"

#include <algorithm>
#include <array>
#include <mutex>

#include "engine/storage/element.h"
#include "engine/storage/id_table.h"
#include "engine/storage/matrix_file.h"
#include "engine/storage/section_reader.h"
#include "simtile/error.h"

namespace simtile {
namespace {

using storage::MatrixFile;
using storage::SectionKind;
using storage::SectionReader;

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
  info.id_kind = storage::id_kind_name(file.id_kind());
  info.file_bytes = file.container().header().file_bytes;
  info.identity = file.identity();
  return info;
}

class DenseRows {
 public:
  explicit DenseRows(const MatrixFile& file)
      : file_(&file), rows_(file.container(), *file.section(SectionKind::kRows)) {
    if (file.element_type() == ElementType::kI8)
      scales_.emplace(file.container(), *file.section(SectionKind::kRowScales));
  }

  void read(std::uint64_t row, std::span<float> values) {
    encoded_.resize(static_cast<std::size_t>(file_->row_stride_bytes()));
    rows_.read(row * file_->row_stride_bytes(), encoded_);
    const float scale = scales_ ? scales_->read_value<float>(row) : 1.0f;
    storage::decode_row(file_->element_type(), encoded_.data(), values.size(), scale, values.data());
  }

 private:
  const MatrixFile* file_;
  SectionReader rows_;
  std::optional<SectionReader> scales_;
  std::vector<std::byte> encoded_;
};

class CsrRows {
 public:
  explicit CsrRows(const MatrixFile& file)
      : file_(&file),
        starts_(file.container(), *file.section(SectionKind::kRowStarts)),
        columns_(file.container(), *file.section(SectionKind::kColumns)),
        values_(file.container(), *file.section(SectionKind::kValues)) {}

  void read(std::uint64_t row, std::span<float> values) {
    const auto begin = starts_.read_value<std::uint64_t>(row);
    const auto end = starts_.read_value<std::uint64_t>(row + 1);
    if (begin > end || end > file_->nonzeros()) refuse(row, "row starts that descend or leave the file");
    std::fill(values.begin(), values.end(), 0.0f);
    std::uint64_t least_column = 0;
    for (std::uint64_t at = begin; at < end; at += kPieceNonzeros)
      scatter(row, at, std::min<std::uint64_t>(kPieceNonzeros, end - at), least_column, values);
  }

 private:
  static constexpr std::size_t kPieceNonzeros = 1024;

  // Columns ascend strictly within a row: each is at least one more than the one before it.
  void scatter(std::uint64_t row, std::uint64_t first, std::uint64_t count, std::uint64_t& least_column,
               std::span<float> values) {
    std::array<std::uint32_t, kPieceNonzeros> columns;
    std::array<float, kPieceNonzeros> nonzeros;
    columns_.read(first * sizeof columns[0], std::as_writable_bytes(std::span(columns).first(count)));
    values_.read(first * sizeof nonzeros[0], std::as_writable_bytes(std::span(nonzeros).first(count)));
    for (std::size_t i = 0; i < count; ++i) {
      if (columns[i] < least_column || columns[i] >= values.size())
        refuse(row, "a column out of order or beyond its " + std::to_string(values.size()));
      values[columns[i]] = nonzeros[i];
      least_column = std::uint64_t{columns[i]} + 1;
    }
  }

  [[noreturn]] void refuse(std::uint64_t row, const std::string& why) const {
    throw Error(ErrorCode::kCorrupt,
                "'" + file_->path() + "' has " + why + ", in row " + std::to_string(row) + "; make the file again");
  }

  const MatrixFile* file_;
  SectionReader starts_;
  SectionReader columns_;
  SectionReader values_;
};

}  // namespace

struct Matrix::State {
  explicit State(const std::string& path)
      : file(MatrixFile::open(path)),
        info(describe(file)),
        ids(file.container(), file.id_kind(), storage::kRowIds, file.rows()) {
    if (file.is_sparse())
      csr.emplace(file);
    else
      dense.emplace(file);
  }

  void check_row(std::uint64_t row) const {
    if (row >= info.rows)
      throw Error(ErrorCode::kInvalidArgument, "'" + file.path() + "' has no row " + std::to_string(row) +
                                                   "; its rows are 0 to " + std::to_string(info.rows - 1));
  }

  const MatrixFile file;
  const MatrixInfo info;
  const storage::IdTable ids;
  std::mutex rows_mutex;  // guards the readers below
  std::optional<DenseRows> dense;
  std::optional<CsrRows> csr;
};

Matrix::Matrix(const std::string& path) : state_(std::make_unique<State>(path)) {}
Matrix::Matrix(Matrix&&) noexcept = default;
Matrix& Matrix::operator=(Matrix&&) noexcept = default;
Matrix::~Matrix() = default;

const MatrixInfo& Matrix::info() const noexcept { return state_->info; }

void Matrix::read_row(std::uint64_t row, std::span<float> values) const {
  state_->check_row(row);
  if (values.size() != columns())
    throw Error(ErrorCode::kInvalidArgument, "a row of '" + state_->file.path() + "' has " + std::to_string(columns()) +
                                                 " values, but there is room for " + std::to_string(values.size()));
  const std::lock_guard lock(state_->rows_mutex);
  if (state_->csr)
    state_->csr->read(row, values);
  else
    state_->dense->read(row, values);
}

std::string Matrix::id(std::uint64_t row) const {
  state_->check_row(row);
  return state_->ids.id(row);
}

std::optional<std::uint64_t> Matrix::find(std::string_view id) const { return state_->ids.find(id); }

}  // namespace simtile
