#include "engine/join/screen_panels.h"

#include <algorithm>
#include <cmath>

#include "engine/base/checked.h"
#include "engine/storage/row_norm.h"

namespace simtile::join {

namespace {
// Of any kernel's panels.
constexpr std::uint32_t kMostWidth = 64;
}  // namespace

ScreenPanels::ScreenPanels(PageBudget& budget, const plan::ScreenShape& shape, std::uint64_t rows, std::uint32_t width,
                           kernels::PackPanel pack, bool unit_norm)
    : shape_(shape), width_(width), pack_(pack), unit_norm_(unit_norm) {
  const std::uint64_t padded = round_up(rows, width);
  panels_ = BudgetedMemory(budget, padded * shape.panel_dims() * sizeof(float));
  first_residuals_ = BudgetedMemory(budget, padded * sizeof(float));
  next_residuals_ = BudgetedMemory(budget, padded * sizeof(float));
  slack_ = BudgetedMemory(budget, padded * sizeof(float));
  scales_ = BudgetedMemory(budget, padded * sizeof(float));
  squared_norms_ = BudgetedMemory(budget, padded * sizeof(double));
  const std::uint64_t balls = padded / width;
  centres_ = BudgetedMemory(budget, balls * shape.panel_dims() * sizeof(float));
  centre_norms_ = BudgetedMemory(budget, balls * sizeof(double));
  radii_ = BudgetedMemory(budget, balls * sizeof(double));
}

void ScreenPanels::fill(const screen::ScreenRows::Window& window, std::uint64_t at, std::uint64_t rows) {
  const auto first_dims = static_cast<std::uint32_t>(shape_.first_dims);
  for (std::uint64_t r = 0; r < rows; ++r) {
    const double norm = window.norm(r);
    const double scale = unit_norm_ ? inverse_norm(norm) : 1.0;
    const auto scaled = [&](std::uint64_t dims) {
      return static_cast<float>(static_cast<double>(window.residual_norm(r, dims)) * scale);
    };
    first_residuals_.as<float>()[at + r] = scaled(shape_.first_dims);
    next_residuals_.as<float>()[at + r] = scaled(shape_.first_dims + shape_.next_dims);
    slack_.as<float>()[at + r] = window.slack_coordinate(norm * scale);
    scales_.as<float>()[at + r] = static_cast<float>(scale);
    squared_norms_.as<double>()[at + r] = norm * norm;
  }
  for (std::uint64_t done = 0; done < rows; done += width_) {
    const auto count = static_cast<std::uint32_t>(std::min<std::uint64_t>(width_, rows - done));
    const std::uint64_t row = at + done;
    float* panel = panels_.as<float>() + row / width_ * dims() * width_;
    pack_(window.prefix(done), shape_.prefix_dims, count, first_dims, panel);
    if (unit_norm_)
      for (std::uint32_t d = 0; d < first_dims; ++d)
        for (std::uint32_t r = 0; r < count; ++r) panel[d * width_ + r] *= scales_.as<float>()[row + r];
    float* residuals = panel + std::size_t{first_dims} * width_;
    std::fill_n(residuals, 2 * width_, 0.0f);
    std::copy_n(first_residuals_.as<float>() + row, count, residuals);
    std::copy_n(slack_.as<float>() + row, count, residuals + width_);
    enclose_panel(row / width_, count);
  }
}

namespace {

double norm(const float* values, std::uint32_t dims) noexcept {
  double squares = 0.0;
  for (std::uint32_t d = 0; d < dims; ++d) squares += static_cast<double>(values[d]) * static_cast<double>(values[d]);
  return std::sqrt(squares);
}

// For sums in binary64 of values of binary32.
constexpr double kRoundedUp = 1.0 + 1e-9;

}  // namespace

void ScreenPanels::enclose_panel(std::uint64_t panel, std::uint32_t rows) noexcept {
  const float* values = this->panel(panel);
  float* centre = centres_.as<float>() + panel * dims();
  float squared_radii[kMostWidth] = {};
  for (std::uint32_t d = 0; d < dims(); ++d, values += width_) {
    float sum = 0.0f;
    for (std::uint32_t r = 0; r < rows; ++r) sum += values[r];
    centre[d] = sum / static_cast<float>(rows);
    for (std::uint32_t r = 0; r < rows; ++r) {
      const float difference = values[r] - centre[d];
      squared_radii[r] += difference * difference;
    }
  }
  const float largest = *std::max_element(squared_radii, squared_radii + rows);
  // Sums in binary32 of so many positive terms, each rounded thrice, and what underflows.
  const double rounding = 1.0 + 2.0 * static_cast<double>(dims() + 4) * 0x1p-24;
  radii_.as<double>()[panel] = std::sqrt(static_cast<double>(largest) * rounding + 1e-40) * kRoundedUp;
  centre_norms_.as<double>()[panel] = norm(centre, dims()) * kRoundedUp;
}

ScreenBall ScreenPanels::panel_ball(std::uint64_t panel) const noexcept {
  return {centres_.as<float>() + panel * dims(), centre_norms_.as<double>()[panel], radii_.as<double>()[panel]};
}

ScreenBall ScreenPanels::ball_of_panels(std::uint64_t first, std::uint64_t count, float* centre) const noexcept {
  const float* centres = centres_.as<float>() + first * dims();
  std::fill_n(centre, dims(), 0.0f);
  for (std::uint64_t panel = 0; panel < count; ++panel)
    for (std::uint32_t d = 0; d < dims(); ++d) centre[d] += centres[panel * dims() + d] / static_cast<float>(count);
  double radius = 0.0;
  for (std::uint64_t panel = 0; panel < count; ++panel) {
    double squares = 0.0;
    for (std::uint32_t d = 0; d < dims(); ++d) {
      const double difference = static_cast<double>(centre[d]) - static_cast<double>(centres[panel * dims() + d]);
      squares += difference * difference;
    }
    radius = std::max(radius, std::sqrt(squares) + radii_.as<double>()[first + panel]);
  }
  return {centre, norm(centre, dims()) * kRoundedUp, radius * kRoundedUp};
}

double largest_product(const ScreenBall& a, const ScreenBall& b, std::uint32_t dims) noexcept {
  constexpr std::uint32_t kLanes = 8;
  float lanes[kLanes] = {};
  std::uint32_t d = 0;
  for (; d + kLanes <= dims; d += kLanes)
    for (std::uint32_t l = 0; l < kLanes; ++l) lanes[l] += a.centre[d + l] * b.centre[d + l];
  double product = 0.0;
  for (const float lane : lanes) product += static_cast<double>(lane);
  for (; d < dims; ++d) product += static_cast<double>(a.centre[d]) * static_cast<double>(b.centre[d]);
  const double rounding = static_cast<double>(dims + 4) * 0x1p-23 * a.centre_norm * b.centre_norm + 1e-36;
  return product + rounding + (a.centre_norm * b.radius + a.radius * b.centre_norm + a.radius * b.radius) * kRoundedUp;
}

}  // namespace simtile::join
