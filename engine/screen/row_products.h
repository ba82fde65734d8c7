// Inner products of the rows of two small matrices, by the tile kernel: the matrix products of making a screen.
//
// Threads: both may be called from several threads at once, with the same PackedRows.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/kernels/tile_kernel.h"
#include "engine/memory/lease.h"
#include "engine/screen/workers.h"

namespace simtile::screen {

// Rows in the kernel's base panels. Those that are not set are zeros.
class PackedRows {
 public:
  PackedRows(PageBudget& budget, const kernels::TileKernel& kernel, std::uint64_t rows, std::uint64_t dims);

  // Row `row`'s `dims` values.
  void set_row(std::uint64_t row, const float* values) noexcept;
  void get_row(std::uint64_t row, float* values) const noexcept;
  // Every row's value in dimension `dim`.
  void set_dim(std::uint64_t dim, const float* values) noexcept;

  std::uint64_t rows() const noexcept { return rows_; }
  std::uint64_t dims() const noexcept { return dims_; }
  const float* panels() const noexcept { return panels_.as<float>(); }
  std::uint32_t panel_count() const noexcept { return panel_count_; }
  // Rows, rounded up to whole panels: the least stride of a result.
  std::uint64_t padded_rows() const noexcept { return std::uint64_t{panel_count_} * width_; }
  static std::uint64_t cost_bytes(const kernels::TileKernel& kernel, std::uint64_t rows, std::uint64_t dims) noexcept;

 private:
  std::uint64_t rows_;
  std::uint64_t dims_;
  std::uint32_t width_;
  std::uint32_t panel_count_;
  BudgetedMemory panels_;
};

// Room for one panel of the other side, and the kernel's own.
struct PanelScratch {
  PanelScratch(const kernels::TileKernel& kernel, const PackedRows& b)
      : panel(kernel.query_width * b.dims()), partial(kernel.query_width * b.padded_rows()) {}
  std::vector<float> panel;
  std::vector<float> partial;
};

// products[i * stride + j] = a's row i times b's row j, for all rows of b and its padding. a: rows x b.dims(), a_stride
// floats apart; at most the kernel's query_width rows.
void multiply_panel(const kernels::TileKernel& kernel, const float* a, std::size_t a_stride, std::uint32_t rows,
                    const PackedRows& b, PanelScratch& scratch, float* products, std::size_t stride);

// The same for any number of rows. Throws Error(kInterrupted) when the workers are stopped.
void multiply(const kernels::TileKernel& kernel, const Workers& workers, const float* a, std::size_t a_stride,
              std::uint64_t rows, const PackedRows& b, float* products, std::size_t stride);

}  // namespace simtile::screen
