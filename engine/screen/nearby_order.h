// An order of rows in which likely neighbours stand side by side, so that a block of such rows, against another such
// block, tends to be near as a whole or far as a whole.
//
// It is that of a k-d tree's leaves (J. L. Bentley, "Multidimensional binary search trees used for associative
// searching", CACM 18(9), 1975): rows are halved by the coordinate in which they vary most, and the halves likewise,
// until one panel holds them.
//
// Threads: safe. Nothing of an answer depends on it. Nothing is allocated.
#pragma once

#include <cstdint>
#include <span>

namespace simtile::screen {

// Rows of coordinates, `stride` floats apart, each to be multiplied by its row's scale; null: they are scaled.
struct CoordinateRows {
  const float* values = nullptr;
  std::uint64_t stride = 0;
  const float* scales = nullptr;

  const float* row(std::uint64_t r) const noexcept { return values + r * stride; }
  float scale(std::uint64_t r) const noexcept { return scales == nullptr ? 1.0f : scales[r]; }
};

// Only so many first coordinates are looked at, and all rows have them.
inline constexpr std::uint32_t kOrderingDims = 16;

// Puts the rows that `order` names in order. `width`: rows of a panel.
void order_nearby(const CoordinateRows& rows, std::uint32_t width, std::span<std::uint32_t> order) noexcept;

}  // namespace simtile::screen
