// One side's rows, made ready for a first look at all of their coordinates by a kernel that rounds them
// (kernels::ScreenKernel): cheap upper bounds on scores, after which few pairs are left for the definition.
//
// For rows x and y of D coordinates, with u = 2^-24 and g(n) = n u / (1 - n u) (Higham, Accuracy and Stability of
// Numerical Algorithms, 3.1), the definition's score is at most x.y + g(D) |x| |y|, and the kernel's bound, a chain
// over little more than D coordinates, at least x.y - 2 g(D + 64) |x| |y|. One more coordinate, sqrt(slack) |x|, makes
// up for both: the bound is never below the score (screen/screen_margin.h). For l2 the same holds of the product, from
// which the margin decides (l2_margin.h).
//
// Threads: load() and pack() from one thread; afterwards read by all.
#pragma once

#include <cstdint>

#include "engine/kernels/tile_kernel.h"
#include "engine/memory/dense_rows.h"
#include "engine/memory/lease.h"
#include "engine/screen/screen_margin.h"

namespace simtile::join {

class RoundedRows {
 public:
  // `rows`: the most at once. `rounded_floats`: of a row in a panel. `width` and `pack_panel`: of the kernel, for this
  // side.
  RoundedRows(PageBudget& budget, std::uint64_t dims, std::uint64_t rounded_floats, std::uint64_t rows,
              std::uint32_t width, kernels::PackPanel pack_panel);

  // Rows that were taken before are forgotten.
  void clear() noexcept { all_fit_ = margin_.is_usable(); }
  // Decodes rows [0, rows) of the window, which are loaded, as rows [at, at + rows), and measures them.
  void load(const DenseRows::Window& window, std::uint64_t at, std::uint64_t rows);
  // Packs rows [0, rows) into panels. They must all fit.
  void pack(std::uint64_t rows);

  // Packs rows [0, rows) as they are, for the definition's kernel.
  void pack_exactly(kernels::PackPanel pack_panel, std::uint32_t width, std::uint64_t rows, float* panels) const;

  // Whether bounds of these rows neither overflow nor vanish.
  bool all_fit() const noexcept { return all_fit_; }
  const float* row(std::uint64_t row) const noexcept { return rows_.as<float>() + row * dims_; }
  const double* squared_norms() const noexcept { return squared_norms_.as<double>(); }
  // Of the panels: the rows' and the one that makes up for rounding.
  std::uint32_t panel_dims() const noexcept { return dims_ + 1; }
  std::uint64_t panel_floats() const noexcept { return panel_floats_; }
  const float* panel(std::uint64_t panel) const noexcept { return panels_.as<float>() + panel * panel_floats_; }

 private:
  std::uint32_t dims_;
  std::uint32_t width_;
  kernels::PackPanel pack_panel_;
  screen::ScreenMargin margin_;
  std::uint64_t panel_floats_;
  bool all_fit_ = true;
  BudgetedMemory rows_;  // as the definition takes them
  BudgetedMemory squared_norms_;
  BudgetedMemory panels_;
  BudgetedMemory widened_;  // one panel's rows, before they are packed
};

}  // namespace simtile::join
