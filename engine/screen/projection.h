// Rows along a screen's directions: their coordinates, and bounds on what is left.
//
// Threads: project() may be called from several threads at once, each with a Scratch of its own.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/kernels/tile_kernel.h"
#include "engine/screen/row_products.h"
#include "engine/screen/screen_margin.h"
#include "engine/storage/screen_layout.h"

namespace simtile::screen {

class Projection {
 public:
  // `directions`: prefix_dims x columns floats.
  Projection(PageBudget& budget, const kernels::TileKernel& kernel, const float* directions, std::uint64_t prefix_dims,
             std::uint64_t columns, double basis_error);

  struct Scratch {
    explicit Scratch(const Projection& projection);
    PanelScratch panel;
    std::vector<float> products;
  };

  // So many rows at a time.
  std::uint32_t rows_at_once() const noexcept { return kernel_->query_width; }
  // values: count x columns; prefixes: count x prefix_dims; residual_norms: count x prefix_dims / kScreenStep;
  // norms: count.
  void project(const float* values, std::uint32_t count, Scratch& scratch, float* prefixes, float* residual_norms,
               double* norms) const;
  static std::uint64_t cost_bytes(const kernels::TileKernel& kernel, std::uint64_t prefix_dims,
                                  std::uint64_t columns) noexcept;

 private:
  const kernels::TileKernel* kernel_;
  std::uint64_t prefix_dims_;
  std::uint64_t columns_;
  ScreenMargin margin_;
  std::vector<PackedRows> blocks_;  // the directions, kBlockDims columns at a time
};

}  // namespace simtile::screen
