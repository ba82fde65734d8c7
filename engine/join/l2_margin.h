// Squared l2 by the inner product, without losing a pair: |q - b|^2 = |q|^2 + |b|^2 - 2 q.b costs half as much as the
// chain of differences, but rounds otherwise. So the product only decides which pairs are worth the definition's score.
//
// Let u = 2^-24, D the dimensions, g = D u / (1 - D u) (Higham, Accuracy and Stability of Numerical Algorithms, 3.1),
// P the product's chain, L the definition's, starred letters exact values.
//   |P - p*| <= g |q| |b| <= g (|q|^2 + |b|^2) / 2        each of D fused steps rounds once
//   |L - d*| <= g' d*, g' = g at D + 2                    the differences and the steps round; all terms are positive
// If L <= t, then d* <= t (1 + g'') with 1 + g'' = 1 / (1 - g'), and
//   P >= p* - g (|q|^2 + |b|^2) / 2 >= (1 - g) |q|^2 / 2 + (1 - g) |b|^2 / 2 - (1 + g'') t / 2.
// The right side falls into a part of the query row and a part of the base row, each an array of floats; the kernel
// adds them. Their rounding and the sum's, at most 2 u of each part, come out of both parts beforehand. Steps that
// round in the subnormal range add at most D 2^-149 to L's error and to P's. Norms are sums in binary64, whose error
// vanishes in the extra eight dimensions that g is taken for. Norms beyond kLargestNorm could overflow the product:
// such tiles are scored by the definition.
#pragma once

#include <cmath>
#include <cstdint>

namespace simtile::join {

class L2Margin {
 public:
  static constexpr double kLargestNorm = 1e37;

  explicit L2Margin(std::uint64_t dims) : dims_(static_cast<double>(dims)), share_(bound_on_rounding(dims_ + 8.0)) {}

  // Whether the bounds above hold for so many dimensions, with shares of at most 1% or so.
  bool is_usable() const noexcept { return dims_ < 100000.0; }
  // A row's part of a sum that the other row's threshold is taken from.
  float part(double squared_norm) const noexcept { return below(0.5 * squared_norm * (1.0 - share_)); }
  // A row's part of the sum that its own threshold is taken from: a product below the sum is of a pair whose score is
  // worse than `threshold`.
  float part_with_threshold(double squared_norm, float threshold) const noexcept {
    const double allowed = static_cast<double>(threshold) * (1.0 + 2.0 * share_) + dims_ * 0x1p-147;
    return below(0.5 * (squared_norm * (1.0 - share_) - allowed));
  }

 private:
  static double bound_on_rounding(double dims) noexcept { return dims * 0x1p-24 / (1.0 - dims * 0x1p-24); }
  static float below(double part) noexcept {
    if (std::isinf(part)) return static_cast<float>(part);
    return static_cast<float>(part - std::fabs(part) * 0x1p-21 - 0x1p-148);
  }

  double dims_;
  double share_;
};

}  // namespace simtile::join
