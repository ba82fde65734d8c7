#include "engine/join/screen_panels.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "engine/base/checked.h"
#include "engine/base/wide_clones.h"
#include "engine/storage/row_norm.h"

namespace simtile::join {

namespace {

SIMTILE_WIDE_CLONES
void scale_values(const float* values, float scale, std::uint32_t count, float* scaled) {
  for (std::uint32_t i = 0; i < count; ++i) scaled[i] = values[i] * scale;
}

SIMTILE_WIDE_CLONES
void add_scaled(float factor, const float* values, std::uint32_t count, float* sums) {
  for (std::uint32_t i = 0; i < count; ++i) sums[i] += factor * values[i];
}

// In as many partial sums as let the compiler work on several at once.
SIMTILE_WIDE_CLONES
float squared_distance(const float* a, const float* b, std::uint32_t count) {
  constexpr std::uint32_t kLanes = 16;
  float lanes[kLanes] = {};
  std::uint32_t i = 0;
  for (; i + kLanes <= count; i += kLanes)
    for (std::uint32_t l = 0; l < kLanes; ++l) lanes[l] += (a[i + l] - b[i + l]) * (a[i + l] - b[i + l]);
  float sum = 0.0f;
  for (const float lane : lanes) sum += lane;
  for (; i < count; ++i) sum += (a[i] - b[i]) * (a[i] - b[i]);
  return sum;
}

}  // namespace

ScreenPanels::ScreenPanels(PageBudget& budget, const plan::ScreenShape& shape, std::uint64_t rows, std::uint32_t width,
                           kernels::PackPanel pack_panel, bool unit_norm)
    : shape_(shape),
      width_(width),
      pack_panel_(pack_panel),
      unit_norm_(unit_norm),
      panel_floats_(width * shape.panel_floats) {
  const std::uint64_t padded = round_up(rows, width);
  panels_ = BudgetedMemory(budget, padded * shape.panel_floats * sizeof(float));
  scaled_rows_ = BudgetedMemory(budget, width * shape.panel_dims() * sizeof(float));
  row_at_ = BudgetedMemory(budget, padded * sizeof(std::uint32_t));
  stop_residuals_ = BudgetedMemory(budget, padded * shape.stops * sizeof(float));
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

void ScreenPanels::take(const screen::ScreenRows::Window& window, std::uint64_t at, std::uint64_t rows) {
  for (std::uint64_t r = 0; r < rows; ++r) {
    const double norm = window.norm(r);
    const double scale = unit_norm_ ? inverse_norm(norm) : 1.0;
    const auto scaled = [&](std::uint64_t dims) {
      return static_cast<float>(static_cast<double>(window.residual_norm(r, dims)) * scale);
    };
    first_residuals_.as<float>()[at + r] = scaled(shape_.first_dims);
    next_residuals_.as<float>()[at + r] = scaled(shape_.first_dims + shape_.next_dims);
    for (std::uint32_t s = 0; s < shape_.stops; ++s)
      stop_residuals_.as<float>()[(at + r) * shape_.stops + s] = scaled(plan::ScreenShape::stop_coordinates(s));
    slack_.as<float>()[at + r] = window.slack_coordinate(norm * scale);
    scales_.as<float>()[at + r] = static_cast<float>(scale);
    squared_norms_.as<double>()[at + r] = norm * norm;
  }
}

void ScreenPanels::pack(const screen::CoordinateRows& coordinates, std::uint64_t rows, std::uint64_t placed,
                        bool with_balls) {
  const std::span<std::uint32_t> to_place = row_at().subspan(placed, rows - placed);
  std::iota(to_place.begin(), to_place.end(), static_cast<std::uint32_t>(placed));
  order_nearby(coordinates, width_, to_place);
  for (std::uint64_t done = 0; done < rows; done += width_) {
    const auto count = static_cast<std::uint32_t>(std::min<std::uint64_t>(width_, rows - done));
    for (std::uint32_t r = 0; r < count; ++r) {
      const std::uint32_t row = row_at()[done + r];
      write_panel_row(coordinates.row(row), row, coordinates.scale(row),
                      scaled_rows_.as<float>() + std::size_t{r} * dims());
    }
    pack_panel_(scaled_rows_.as<float>(), dims(), count, dims(), panels_.as<float>() + done / width_ * panel_floats_);
    if (!with_balls) continue;
    // What stands at stops is no part of the products that balls bound.
    for (std::uint32_t r = 0; r < count; ++r)
      for (std::uint32_t s = 0; s < shape_.stops; ++s)
        scaled_rows_.as<float>()[r * dims() + plan::ScreenShape::stop_dim(s)] = 0.0f;
    enclose_panel(done / width_, count);
  }
}

void ScreenPanels::write_panel_row(const float* coordinates, std::uint32_t row, float scale,
                                   float* out) const noexcept {
  *out++ = slack_.as<float>()[row];
  std::uint64_t written = 0;
  const auto write_up_to = [&](std::uint64_t end) {
    scale_values(coordinates + written, scale, static_cast<std::uint32_t>(end - written), out);
    out += end - written;
    written = end;
  };
  for (std::uint32_t s = 0; s < shape_.stops; ++s) {
    write_up_to(plan::ScreenShape::stop_coordinates(s));
    *out++ = stop_residuals_.as<float>()[std::uint64_t{row} * shape_.stops + s];
  }
  write_up_to(shape_.first_dims);
  *out = first_residuals_.as<float>()[row];
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
  float* centre = centres_.as<float>() + panel * dims();
  std::fill_n(centre, dims(), 0.0f);
  for (std::uint32_t r = 0; r < rows; ++r) add_scaled(1.0f / static_cast<float>(rows), scaled_row(r), dims(), centre);
  float largest = 0.0f;
  for (std::uint32_t r = 0; r < rows; ++r) largest = std::max(largest, squared_distance(scaled_row(r), centre, dims()));
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
