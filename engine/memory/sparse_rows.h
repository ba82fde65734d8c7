// Windows of a CSR matrix's rows, leased from the file. Row starts and columns are checked as they are leased, so that
// users may index by them.
//
// Threads and lifetime: as in dense_rows.h.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "engine/memory/lease.h"
#include "engine/storage/matrix_file.h"

namespace simtile {

// One row: ascending columns and their values, as stored; multiply by `inverse_norm` through unit_value() when the rows
// are wanted at norm one.
struct SparseRow {
  std::span<const std::uint32_t> columns;
  std::span<const float> values;
  double inverse_norm;
};

class SparseRows {
 public:
  SparseRows(const storage::MatrixFile& matrix, const std::shared_ptr<const std::vector<std::uint64_t>>& checksums,
             PageBudget& budget, bool unit_norm);

  class Window {
   public:
    SparseRow row(std::uint64_t row_in_window) const noexcept;
    std::uint64_t nonzeros() const noexcept { return nonzeros_; }
    // Once the rows have been read: Lease::close().
    void close();

   private:
    friend class SparseRows;
    // Where a row lies in columns_ and values_.
    struct Extent {
      std::uint64_t start, count;
    };
    Extent extent(std::uint64_t row_in_window) const noexcept;

    std::span<const std::uint64_t> starts_;
    std::span<const std::uint32_t> columns_;
    std::span<const float> values_;
    std::uint64_t nonzeros_ = 0;
    bool unit_norm_ = false;
    bool has_norms_ = false;
    Lease starts_lease_;
    Lease columns_lease_;
    Lease values_lease_;
    Lease norms_lease_;
  };

  // The rows are loaded (Lease::load()). Throws Error(kCorrupt) for row starts that go backwards and columns that do
  // not ascend or do not exist.
  Window window(std::uint64_t first_row, std::uint64_t rows);
  void prefetch(std::uint64_t first_row, std::uint64_t rows) noexcept;
  std::uint64_t loaded_bytes() const noexcept {
    return starts_.loaded_bytes() + columns_.loaded_bytes() + values_.loaded_bytes() +
           (norms_ ? norms_->loaded_bytes() : 0);
  }

  // Non-zeros of the longest row, by reading all row starts once in bounded memory.
  static std::uint64_t longest_row(const storage::MatrixFile& matrix);

 private:
  const storage::MatrixFile* matrix_;
  bool unit_norm_;
  LeasedSection starts_;
  LeasedSection columns_;
  LeasedSection values_;
  std::optional<LeasedSection> norms_;
};

}  // namespace simtile
