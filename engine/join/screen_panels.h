// One side's rows made ready for a screen: panels of their first coordinates, and what the later stages add to a bound.
//
// A row's panel dimensions are its slack coordinate (screen/screen_margin.h), its first_dims coordinates, and its
// residual norm after them: the inner product of two rows is an upper bound on their score's product. In between stand
// the residual norms at the stops (plan::ScreenShape): up to there they bound it as well. For a cosine all is scaled by
// the row's inverse norm.
//
// Rows stand in the panels at *places*, likely neighbours side by side, so that blocks of pairs end at stops. All else
// is by row.
//
// Threads: take() and pack() from one thread; afterwards read by all.
#pragma once

#include <cstdint>
#include <span>

#include "engine/kernels/tile_kernel.h"
#include "engine/memory/lease.h"
#include "engine/plan/tile_plan.h"
#include "engine/screen/nearby_order.h"
#include "engine/screen/screen_rows.h"

namespace simtile::join {

// A ball that holds rows of panels: for every row a of one ball and b of another, a.b is at most
// centre.centre + |centre| radius + radius |centre| + radius radius.
struct ScreenBall {
  const float* centre = nullptr;  // ScreenPanels::dims() floats
  double centre_norm = 0.0;
  double radius = 0.0;
};
double largest_product(const ScreenBall& a, const ScreenBall& b, std::uint32_t dims) noexcept;

class ScreenPanels {
 public:
  ScreenPanels() = default;
  // `rows`: the most at once; a multiple of `width` or not. `width` and `pack_panel`: of the kernel, for this side.
  ScreenPanels(PageBudget& budget, const plan::ScreenShape& shape, std::uint64_t rows, std::uint32_t width,
               kernels::PackPanel pack_panel, bool unit_norm);

  // Takes rows [0, rows) of the window, which are loaded, as rows [at, at + rows): all but their coordinates.
  void take(const screen::ScreenRows::Window& window, std::uint64_t at, std::uint64_t rows);
  // Packs all `rows` that were taken. The first `placed` stand where row_at() says already, the others find their
  // places. `with_balls`: whether panel_ball() will be asked.
  void pack(const screen::CoordinateRows& coordinates, std::uint64_t rows, std::uint64_t placed, bool with_balls);
  // The row at each place.
  std::span<std::uint32_t> row_at() noexcept {
    return {row_at_.as<std::uint32_t>(), row_at_.bytes() / sizeof(std::uint32_t)};
  }
  std::span<const std::uint32_t> row_at() const noexcept {
    return {row_at_.as<std::uint32_t>(), row_at_.bytes() / sizeof(std::uint32_t)};
  }

  std::uint32_t dims() const noexcept { return static_cast<std::uint32_t>(shape_.panel_dims()); }
  std::uint64_t panel_floats() const noexcept { return panel_floats_; }
  const float* panel(std::uint64_t panel) const noexcept { return panels_.as<float>() + panel * panel_floats_; }
  // The ball of one panel's rows; and of some panels' rows, its centre being written to `centre`.
  ScreenBall panel_ball(std::uint64_t panel) const noexcept;
  ScreenBall ball_of_panels(std::uint64_t first, std::uint64_t count, float* centre) const noexcept;
  // Of each row, scaled: the residual norms after the first and after the next coordinates, the slack coordinate, and
  // the scale itself.
  const float* first_residuals() const noexcept { return first_residuals_.as<float>(); }
  const float* next_residuals() const noexcept { return next_residuals_.as<float>(); }
  const float* slack() const noexcept { return slack_.as<float>(); }
  const float* scales() const noexcept { return scales_.as<float>(); }
  // Not scaled.
  const double* squared_norms() const noexcept { return squared_norms_.as<double>(); }

 private:
  void write_panel_row(const float* coordinates, std::uint32_t row, float scale, float* out) const noexcept;
  void enclose_panel(std::uint64_t panel, std::uint32_t rows) noexcept;
  const float* scaled_row(std::uint32_t row) const noexcept {
    return scaled_rows_.as<float>() + std::size_t{row} * dims();
  }

  plan::ScreenShape shape_;
  std::uint32_t width_ = 1;
  kernels::PackPanel pack_panel_ = nullptr;
  bool unit_norm_ = false;
  std::uint64_t panel_floats_ = 0;
  BudgetedMemory panels_;
  BudgetedMemory scaled_rows_;  // one panel's, before they are packed
  BudgetedMemory row_at_;
  BudgetedMemory stop_residuals_;  // of each row, one for each stop
  BudgetedMemory first_residuals_;
  BudgetedMemory next_residuals_;
  BudgetedMemory slack_;
  BudgetedMemory scales_;
  BudgetedMemory squared_norms_;
  BudgetedMemory centres_;  // of each panel
  BudgetedMemory centre_norms_;
  BudgetedMemory radii_;
};

}  // namespace simtile::join
