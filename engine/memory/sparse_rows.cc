#include "engine/memory/sparse_rows.h"

#include <algorithm>
#include <string>

#include "engine/storage/row_norm.h"
#include "engine/storage/section_reader.h"
#include "simtile/error.h"

namespace simtile {

using storage::SectionKind;

namespace {

[[noreturn]] void refuse(const storage::MatrixFile& matrix, std::uint64_t row, const char* why) {
  throw Error(ErrorCode::kCorrupt,
              "'" + matrix.path() + "' has " + why + " in row " + std::to_string(row) + "; make the file again");
}

template <typename T>
std::span<const T> view(const Lease& lease, std::uint64_t count) noexcept {
  return {reinterpret_cast<const T*>(lease.data()), static_cast<std::size_t>(count)};
}

}  // namespace

SparseRows::SparseRows(const storage::MatrixFile& matrix,
                       const std::shared_ptr<const std::vector<std::uint64_t>>& checksums, PageBudget& budget,
                       bool unit_norm)
    : matrix_(&matrix),
      unit_norm_(unit_norm),
      starts_(matrix.container(), *matrix.section(SectionKind::kRowStarts), checksums, budget),
      columns_(matrix.container(), *matrix.section(SectionKind::kColumns), checksums, budget),
      values_(matrix.container(), *matrix.section(SectionKind::kValues), checksums, budget) {
  const storage::SectionEntry* norms = matrix.section(SectionKind::kRowNorms);
  if (unit_norm && norms != nullptr) norms_.emplace(matrix.container(), *norms, checksums, budget);
}

SparseRows::Window SparseRows::window(std::uint64_t first_row, std::uint64_t rows) {
  Window window;
  window.unit_norm_ = unit_norm_;
  window.starts_lease_ = starts_.lease(first_row * sizeof(std::uint64_t), (rows + 1) * sizeof(std::uint64_t));
  window.starts_lease_.load(0, (rows + 1) * sizeof(std::uint64_t));
  window.starts_ = view<std::uint64_t>(window.starts_lease_, rows + 1);
  for (std::uint64_t r = 0; r < rows; ++r)
    if (window.starts_[r] > window.starts_[r + 1] || window.starts_[r + 1] > matrix_->nonzeros())
      refuse(*matrix_, first_row + r, "row starts that go backwards or beyond the end");
  const std::uint64_t begin = std::min(window.starts_.front(), matrix_->nonzeros());
  window.nonzeros_ = std::min(window.starts_.back() - begin, matrix_->nonzeros() - begin);
  window.columns_lease_ = columns_.lease(begin * sizeof(std::uint32_t), window.nonzeros_ * sizeof(std::uint32_t));
  window.values_lease_ = values_.lease(begin * sizeof(float), window.nonzeros_ * sizeof(float));
  window.columns_lease_.load(0, window.nonzeros_ * sizeof(std::uint32_t));
  window.values_lease_.load(0, window.nonzeros_ * sizeof(float));
  window.columns_ = view<std::uint32_t>(window.columns_lease_, window.nonzeros_);
  window.values_ = view<float>(window.values_lease_, window.nonzeros_);
  for (std::uint64_t r = 0; r < rows; ++r) {
    const auto [start, count] = window.extent(r);
    const auto columns = window.columns_.subspan(start, count);
    if (!columns.empty() && columns.back() >= matrix_->columns())
      refuse(*matrix_, first_row + r, "a column beyond the last");
    if (std::adjacent_find(columns.begin(), columns.end(), std::greater_equal<>()) != columns.end())
      refuse(*matrix_, first_row + r, "columns that do not ascend");
  }
  if (norms_) window.norms_lease_ = norms_->lease(first_row * sizeof(double), rows * sizeof(double));
  if (norms_) window.norms_lease_.load(0, rows * sizeof(double));
  window.has_norms_ = norms_.has_value();
  return window;
}

void SparseRows::Window::close() {
  starts_lease_.close();
  columns_lease_.close();
  values_lease_.close();
  norms_lease_.close();
}

// Starts of a file that is cut under the window turn to zeros even after they were checked; clamped, they stay within
// it until close() tells.
SparseRows::Window::Extent SparseRows::Window::extent(std::uint64_t row_in_window) const noexcept {
  const std::uint64_t start = std::min(starts_[row_in_window] - starts_.front(), nonzeros_);
  return {start, std::min(starts_[row_in_window + 1] - starts_[row_in_window], nonzeros_ - start)};
}

SparseRow SparseRows::Window::row(std::uint64_t row_in_window) const noexcept {
  const auto [start, count] = extent(row_in_window);
  SparseRow row{columns_.subspan(start, count), values_.subspan(start, count), 1.0};
  if (unit_norm_)
    row.inverse_norm = inverse_norm(has_norms_ ? view<double>(norms_lease_, row_in_window + 1)[row_in_window]
                                               : sparse_row_norm(row.columns.data(), row.values.data(), count));
  return row;
}

// Row starts alone say where a window lies; they are read ahead by the kernel on their own. What a window needs is
// near the same share of the columns and values.
void SparseRows::prefetch(std::uint64_t first_row, std::uint64_t rows) noexcept {
  const double each = static_cast<double>(matrix_->nonzeros()) / static_cast<double>(matrix_->rows());
  const auto begin = static_cast<std::uint64_t>(each * static_cast<double>(first_row)) * sizeof(float);
  const auto bytes = static_cast<std::uint64_t>(each * static_cast<double>(rows)) * sizeof(float);
  columns_.prefetch(begin, bytes);
  values_.prefetch(begin, bytes);
}

std::uint64_t SparseRows::longest_row(const storage::MatrixFile& matrix) {
  storage::SectionReader starts(matrix.container(), *matrix.section(SectionKind::kRowStarts));
  std::vector<std::uint64_t> piece(8192);
  std::uint64_t longest = 0;
  std::uint64_t previous = 0;
  for (std::uint64_t at = 0; at <= matrix.rows(); at += piece.size()) {
    const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(piece.size(), matrix.rows() + 1 - at));
    starts.read(at * sizeof(std::uint64_t), std::as_writable_bytes(std::span(piece).first(count)));
    for (std::size_t i = 0; i < count; ++i) {
      if (piece[i] < previous || piece[i] > matrix.nonzeros())
        refuse(matrix, at + i, "row starts that go backwards or beyond the end");
      if (at + i > 0) longest = std::max(longest, piece[i] - previous);
      previous = piece[i];
    }
  }
  return longest;
}

}  // namespace simtile
