// Windows of a dense matrix's rows as f32: leased from the file, decoded and scaled to norm one as they are asked for.
//
// Threads: window() may be called from several threads at once; a Window belongs to one thread at a time.
// Lifetime: the MatrixFile and the PageBudget must outlive the DenseRows, and it its windows.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "engine/memory/lease.h"
#include "engine/storage/matrix_file.h"

namespace simtile {

class DenseRows {
 public:
  // `unit_norm`: rows are scaled to norm one, as a cosine wants them.
  DenseRows(const storage::MatrixFile& matrix, const std::shared_ptr<const std::vector<std::uint64_t>>& checksums,
            PageBudget& budget, bool unit_norm);

  class Window {
   public:
    // Before rows [first, first + rows) of the window are read: Lease::load().
    void load(std::uint64_t first, std::uint64_t rows);
    // The rows as they lie in the file, when that is what is wanted (f32, not scaled); else null.
    const float* direct(std::uint64_t row_in_window) const noexcept;
    std::size_t direct_stride() const noexcept { return stride_bytes_ / sizeof(float); }
    void decode(std::uint64_t row_in_window, float* values) const noexcept;
    // The row's elements as they lie in the file, stored_stride() bytes from row to row, of stored_type(); and what
    // decode() multiplies them by: nothing where that takes a norm that the file lacks.
    const std::byte* stored(std::uint64_t row_in_window) const noexcept {
      return rows_.data() + row_in_window * stride_bytes_;
    }
    std::size_t stored_stride() const noexcept { return stride_bytes_; }
    ElementType stored_type() const noexcept { return type_; }
    std::optional<double> factor(std::uint64_t row_in_window) const noexcept;
    // The row as stored, whatever unit_norm says.
    void decode_stored(std::uint64_t row_in_window, float* values) const noexcept;
    // Once the rows have been read: Lease::close().
    void close();

   private:
    friend class DenseRows;
    ElementType type_ = ElementType::kF32;
    bool unit_norm_ = false;
    std::size_t columns_ = 0;
    std::size_t stride_bytes_ = 0;
    Lease rows_;
    Lease scales_;
    Lease norms_;
    bool has_norms_ = false;
  };

  Window window(std::uint64_t first_row, std::uint64_t rows);
  // One row anywhere, as Window::decode() gives it. `stored` is room for its bytes in the file.
  void decode_row(std::uint64_t row, std::span<std::byte> stored, float* values);
  std::uint64_t row_stride_bytes() const noexcept { return matrix_->row_stride_bytes(); }
  // Once rows have been decoded: throws Error(kCorrupt) when the file was changed meanwhile.
  void check_unchanged() const { matrix_->container().check_unchanged(); }
  void prefetch(std::uint64_t first_row, std::uint64_t rows) noexcept;
  std::uint64_t loaded_bytes() const noexcept {
    return rows_.loaded_bytes() + (scales_ ? scales_->loaded_bytes() : 0) + (norms_ ? norms_->loaded_bytes() : 0);
  }

 private:
  const storage::MatrixFile* matrix_;
  bool unit_norm_;
  LeasedSection rows_;
  std::optional<LeasedSection> scales_;
  std::optional<LeasedSection> norms_;
};

}  // namespace simtile
