#include "engine/screen/row_products.h"

#include <algorithm>
#include <vector>

#include "engine/base/arena.h"
#include "engine/base/checked.h"

namespace simtile::screen {

PackedRows::PackedRows(PageBudget& budget, const kernels::TileKernel& kernel, std::uint64_t rows, std::uint64_t dims)
    : rows_(rows),
      dims_(dims),
      width_(kernel.base_width),
      panel_count_(static_cast<std::uint32_t>(divide_up(rows, kernel.base_width))),
      panels_(budget, cost_bytes(kernel, rows, dims)) {}

std::uint64_t PackedRows::cost_bytes(const kernels::TileKernel& kernel, std::uint64_t rows,
                                     std::uint64_t dims) noexcept {
  return round_up(rows, kernel.base_width) * dims * sizeof(float);
}

void PackedRows::set_row(std::uint64_t row, const float* values) noexcept {
  float* panel = panels_.as<float>() + row / width_ * dims_ * width_ + row % width_;
  for (std::uint64_t d = 0; d < dims_; ++d) panel[d * width_] = values[d];
}

void PackedRows::get_row(std::uint64_t row, float* values) const noexcept {
  const float* panel = panels() + row / width_ * dims_ * width_ + row % width_;
  for (std::uint64_t d = 0; d < dims_; ++d) values[d] = panel[d * width_];
}

void PackedRows::set_dim(std::uint64_t dim, const float* values) noexcept {
  float* at = panels_.as<float>() + dim * width_;
  for (std::uint64_t row = 0; row < rows_; row += width_, at += dims_ * width_)
    std::copy_n(values + row, std::min<std::uint64_t>(width_, rows_ - row), at);
}

void multiply_panel(const kernels::TileKernel& kernel, const float* a, std::size_t a_stride, std::uint32_t rows,
                    const PackedRows& b, PanelScratch& scratch, float* products, std::size_t stride) {
  kernels::Strip strip{};
  strip.query_rows = rows;
  strip.dims = static_cast<std::uint32_t>(b.dims());
  kernel.pack_query_panel(a, a_stride, rows, strip.dims, scratch.panel.data());
  strip.query_panel = scratch.panel.data();
  strip.base_panels = b.panels();
  strip.partial_scores = scratch.partial.data();
  strip.base_panel_count = b.panel_count();
  kernel.store_inner_products(strip, products, stride);
}

void multiply(const kernels::TileKernel& kernel, const Workers& workers, const float* a, std::size_t a_stride,
              std::uint64_t rows, const PackedRows& b, float* products, std::size_t stride) {
  const std::uint32_t width = kernel.query_width;
  parallel_for_each(workers.threads, 0, divide_up(rows, width), 1, [&](std::uint64_t piece) {
    if (workers.stopped()) return;
    PanelScratch scratch(kernel, b);
    const std::uint64_t first = piece * width;
    multiply_panel(kernel, a + first * a_stride, a_stride,
                   static_cast<std::uint32_t>(std::min<std::uint64_t>(width, rows - first)), b, scratch,
                   products + first * stride, stride);
  });
  workers.throw_if_stopped();
}

}  // namespace simtile::screen
