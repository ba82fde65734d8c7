#include "engine/join/rounded_rows.h"

#include <algorithm>
#include <cmath>

#include "engine/base/checked.h"
#include "engine/base/wide_clones.h"

namespace simtile::join {
namespace {

// In as many partial sums as let the compiler work on several at once.
SIMTILE_WIDE_CLONES
double squared_norm(const float* values, std::uint32_t count) {
  constexpr std::uint32_t kLanes = 16;
  double lanes[kLanes] = {};
  std::uint32_t i = 0;
  for (; i + kLanes <= count; i += kLanes)
    for (std::uint32_t l = 0; l < kLanes; ++l)
      lanes[l] += static_cast<double>(values[i + l]) * static_cast<double>(values[i + l]);
  double sum = 0.0;
  for (const double lane : lanes) sum += lane;
  for (; i < count; ++i) sum += static_cast<double>(values[i]) * static_cast<double>(values[i]);
  return sum;
}

}  // namespace

RoundedRows::RoundedRows(PageBudget& budget, std::uint64_t dims, std::uint64_t rounded_floats, std::uint64_t rows,
                         std::uint32_t width, kernels::PackPanel pack_panel)
    : dims_(static_cast<std::uint32_t>(dims)),
      width_(width),
      pack_panel_(pack_panel),
      margin_(screen::ScreenMargin::of_whole_rows(dims)),
      panel_floats_(width * rounded_floats) {
  const std::uint64_t padded = round_up(rows, width);
  rows_ = BudgetedMemory(budget, padded * dims * sizeof(float));
  squared_norms_ = BudgetedMemory(budget, padded * sizeof(double));
  panels_ = BudgetedMemory(budget, padded * rounded_floats * sizeof(float));
  widened_ = BudgetedMemory(budget, width * (dims + 1) * sizeof(float));
}

void RoundedRows::load(const DenseRows::Window& window, std::uint64_t at, std::uint64_t rows) {
  for (std::uint64_t r = 0; r < rows; ++r) {
    float* values = rows_.as<float>() + (at + r) * dims_;
    window.decode(r, values);
    const double square = squared_norm(values, dims_);
    squared_norms_.as<double>()[at + r] = square;
    all_fit_ = all_fit_ && (square == 0.0 || screen::ScreenMargin::fits(std::sqrt(square)));
  }
}

void RoundedRows::pack(std::uint64_t rows) {
  auto* widened = widened_.as<float>();
  for (std::uint64_t done = 0; done < rows; done += width_) {
    const auto count = static_cast<std::uint32_t>(std::min<std::uint64_t>(width_, rows - done));
    for (std::uint32_t r = 0; r < count; ++r) {
      float* row_out = std::copy_n(row(done + r), dims_, widened + std::size_t{r} * panel_dims());
      *row_out = margin_.slack_coordinate(std::sqrt(squared_norms()[done + r]));
    }
    pack_panel_(widened, panel_dims(), count, panel_dims(), panels_.as<float>() + done / width_ * panel_floats_);
  }
}

void RoundedRows::pack_exactly(kernels::PackPanel pack_panel, std::uint32_t width, std::uint64_t rows,
                               float* panels) const {
  for (std::uint64_t done = 0; done < rows; done += width)
    pack_panel(row(done), dims_, static_cast<std::uint32_t>(std::min<std::uint64_t>(width, rows - done)), dims_,
               panels + done * dims_);
}

}  // namespace simtile::join
