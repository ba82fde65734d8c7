// The Euclidean norm of a row, defined to the bit.
//
// The squares are exact in double precision (24 + 24 bits of significand fit in 53). Lane l of eight adds, in ascending
// order, the squares of the dimensions d with d mod 8 = l; the lanes are then added pairwise: ((0+1)+(2+3)) +
// ((4+5)+(6+7)). Eight chains instead of one let a compiler vectorise the loop without changing the result, and a
// double cannot overflow or vanish on squares of floats.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>

namespace simtile {

inline double norm_of_lanes(const double (&lane)[8]) noexcept {
  return std::sqrt(((lane[0] + lane[1]) + (lane[2] + lane[3])) + ((lane[4] + lane[5]) + (lane[6] + lane[7])));
}

inline double row_norm(const float* values, std::size_t columns) noexcept {
  double lane[8] = {};
  std::size_t d = 0;
  for (; d + 8 <= columns; d += 8)
    for (std::size_t l = 0; l < 8; ++l) {
      const double x = static_cast<double>(values[d + l]);
      lane[l] += x * x;
    }
  for (std::size_t l = 0; d + l < columns; ++l) {
    const double x = static_cast<double>(values[d + l]);
    lane[l] += x * x;
  }
  return norm_of_lanes(lane);
}

// The same norm of a row of which only the non-zeros are given, with their ascending columns.
inline double sparse_row_norm(const std::uint32_t* columns, const float* values, std::size_t count) noexcept {
  double lane[8] = {};
  for (std::size_t i = 0; i < count; ++i) {
    const double x = static_cast<double>(values[i]);
    lane[columns[i] % 8] += x * x;
  }
  return norm_of_lanes(lane);
}

// What a cosine multiplies each value by before the score's chain: unit[d] = float(values[d] * inverse). A zero row
// has no direction: its inverse is 0, so it scores 0 with every row.
inline double inverse_norm(double norm) noexcept { return norm > 0.0 ? 1.0 / norm : 0.0; }

inline float unit_value(float value, double inverse) noexcept {
  return static_cast<float>(static_cast<double>(value) * inverse);
}

// What a row's stored values are multiplied by, an i8 row's scale (else 1) and a cosine's inverse norm (else 1), by
// somebody who multiplies once. Not a number for a scale that no writer gives: values times it may overflow, which an
// inverse norm does not undo, or change their signs.
inline double stored_row_factor(float scale, double inverse_norm) noexcept {
  constexpr float kLargestScale = std::numeric_limits<float>::max() / 128.0f;
  if (!(scale >= 0.0f && scale <= kLargestScale)) return std::numeric_limits<double>::quiet_NaN();
  return static_cast<double>(scale) * inverse_norm;
}

}  // namespace simtile
