#include "engine/screen/nearby_order.h"

#include <algorithm>

#include "engine/base/checked.h"
#include "engine/base/wide_clones.h"

namespace simtile::screen {
namespace {

// Adds a row's coordinates to their sums, and their squares.
SIMTILE_WIDE_CLONES
void add_moments(const float* coordinates, float scale, float* sums, float* squares) {
  for (std::uint32_t d = 0; d < kOrderingDims; ++d) {
    const float value = coordinates[d] * scale;
    sums[d] += value;
    squares[d] += value * value;
  }
}

std::uint32_t widest_coordinate(const CoordinateRows& rows, std::span<const std::uint32_t> order) noexcept {
  float sums[kOrderingDims] = {};
  float squares[kOrderingDims] = {};
  for (const std::uint32_t row : order) add_moments(rows.row(row), rows.scale(row), sums, squares);
  const auto count = static_cast<float>(order.size());
  const auto variance = [&](std::uint32_t d) { return squares[d] - sums[d] * (sums[d] / count); };
  std::uint32_t widest = 0;
  for (std::uint32_t d = 1; d < kOrderingDims; ++d)
    if (variance(d) > variance(widest)) widest = d;
  return widest;
}

}  // namespace

void order_nearby(const CoordinateRows& rows, std::uint32_t width, std::span<std::uint32_t> order) noexcept {
  while (order.size() > width) {
    const std::uint32_t widest = widest_coordinate(rows, order);
    const auto value = [&](std::uint32_t row) { return rows.row(row)[widest] * rows.scale(row); };
    // Whole panels, so that none has rows of both halves.
    const std::size_t half = round_up(order.size() / 2, width);
    std::nth_element(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(half), order.end(),
                     [&](std::uint32_t a, std::uint32_t b) { return value(a) < value(b); });
    order_nearby(rows, width, order.first(half));
    order = order.subspan(half);
  }
}

}  // namespace simtile::screen
