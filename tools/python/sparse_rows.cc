#include "tools/python/sparse_rows.h"

#include "simtile/error.h"

namespace simtile {
namespace {

using storage::MatrixGeneration;
using storage::SectionKind;
using storage::SharedSection;

const std::shared_ptr<const MatrixGeneration>& sparse(const std::shared_ptr<const MatrixGeneration>& generation) {
  if (!generation->info().sparse)
    throw Error(ErrorCode::kInvalidArgument, "'" + generation->file().path() + "' is dense; it has no sparse rows");
  return generation;
}

storage::FileAccess access(const MatrixGeneration& generation, const OpenOptions& options) {
  return {&generation.container(), generation.mapped(), options.mode != OpenMode::kFast};
}

}  // namespace

SparseRows::SparseRows(const Matrix& matrix)
    : generation_(sparse(matrix.state_->generations->current())),
      starts_(access(*generation_, matrix.state_->options), *generation_->file().section(SectionKind::kRowStarts)),
      columns_(access(*generation_, matrix.state_->options), *generation_->file().section(SectionKind::kColumns)),
      values_(access(*generation_, matrix.state_->options), *generation_->file().section(SectionKind::kValues)) {}

SparseRows::Extent SparseRows::extent(std::uint64_t row) const {
  generation_->check_row(row);
  const auto begin = starts_.read_value<std::uint64_t>(row);
  const auto end = starts_.read_value<std::uint64_t>(row + 1);
  if (begin > end || end > generation_->info().nonzeros) refuse(row, "row starts that descend or leave the file");
  return {row, begin, end - begin};
}

void SparseRows::read(const Extent& extent, std::span<std::uint32_t> columns, std::span<float> values) const {
  columns_.read(extent.first * sizeof columns[0], std::as_writable_bytes(columns));
  values_.read(extent.first * sizeof values[0], std::as_writable_bytes(values));
  const std::uint64_t limit = generation_->info().columns;
  for (std::size_t i = 0; i < columns.size(); ++i)
    if (columns[i] >= limit || (i > 0 && columns[i] <= columns[i - 1]))
      refuse(extent.row, "a column out of order or beyond its " + std::to_string(limit));
}

void SparseRows::refuse(std::uint64_t row, const std::string& why) const {
  check_intact();
  throw Error(ErrorCode::kCorrupt, "'" + generation_->file().path() + "' has " + why + ", in row " +
                                       std::to_string(row) + "; make the file again");
}

}  // namespace simtile
