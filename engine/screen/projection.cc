#include "engine/screen/projection.h"

#include <algorithm>

#include "engine/base/checked.h"
#include "engine/base/os.h"
#include "engine/storage/row_norm.h"

namespace simtile::screen {

using storage::kScreenStep;

Projection::Projection(PageBudget& budget, const kernels::TileKernel& kernel, const float* directions,
                       std::uint64_t prefix_dims, std::uint64_t columns, double basis_error)
    : kernel_(&kernel), prefix_dims_(prefix_dims), columns_(columns), margin_(columns, prefix_dims, basis_error) {
  for (std::uint64_t begin = 0; begin < columns; begin += kBlockDims) {
    PackedRows& block = blocks_.emplace_back(budget, kernel, prefix_dims, std::min(kBlockDims, columns - begin));
    for (std::uint64_t i = 0; i < prefix_dims; ++i) block.set_row(i, directions + i * columns + begin);
  }
}

std::uint64_t Projection::cost_bytes(const kernels::TileKernel& kernel, std::uint64_t prefix_dims,
                                     std::uint64_t columns) noexcept {
  return PackedRows::cost_bytes(kernel, prefix_dims, columns) + divide_up(columns, kBlockDims) * os::kPageBytes;
}

Projection::Scratch::Scratch(const Projection& projection)
    : panel(*projection.kernel_, projection.blocks_.front()), products(panel.partial.size()) {}

void Projection::project(const float* values, std::uint32_t count, Scratch& scratch, float* prefixes,
                         float* residual_norms, double* norms) const {
  std::fill_n(prefixes, count * prefix_dims_, 0.0f);
  const std::size_t stride = blocks_.front().padded_rows();
  for (std::size_t b = 0; b < blocks_.size(); ++b) {
    multiply_panel(*kernel_, values + b * kBlockDims, columns_, count, blocks_[b], scratch.panel,
                   scratch.products.data(), stride);
    for (std::uint32_t r = 0; r < count; ++r)
      for (std::uint64_t i = 0; i < prefix_dims_; ++i)
        prefixes[r * prefix_dims_ + i] += scratch.products[r * stride + i];
  }
  for (std::uint32_t r = 0; r < count; ++r) {
    norms[r] = row_norm(values + r * columns_, columns_);
    const float* prefix = prefixes + r * prefix_dims_;
    double squares = 0.0;
    for (std::uint64_t step = 0; step < prefix_dims_ / kScreenStep; ++step) {
      double lane[kScreenStep];
      for (std::uint64_t i = 0; i < kScreenStep; ++i) {
        const auto value = static_cast<double>(prefix[step * kScreenStep + i]);
        lane[i] = value * value;
      }
      for (const double square : lane) squares += square;
      residual_norms[r * (prefix_dims_ / kScreenStep) + step] = margin_.residual_norm(norms[r] * norms[r], squares);
    }
  }
}

}  // namespace simtile::screen
