// Why a screen never loses a pair: an upper bound on a score, with room for every rounding on the way.
//
// A row x (of D columns) is stored as p, its coordinates along the m rows of a matrix V' that is nearly orthonormal,
// and rho, a bound on the norm of the rest r = x - V p. For two rows, with y = V q + s, exactly
//
//   x.y = p.q + r.s - p'E q - p.dy - dx.q        E = V'V - 1,  dx = p - V'x  (what rounding left of the coordinates)
//
// and r.s <= |r| |s| <= rho_x rho_y (Cauchy-Schwarz). So p.q + rho_x rho_y is an upper bound up to terms that are all
// shares of |x| |y|:
//   - |E| <= e, measured when the directions are made (basis.h);
//   - |dx| <= k |x|: coordinate i is summed in blocks of kBlockDims, so it is off by at most g(b) |x| |v_i|, where
//     g(n) = n u / (1 - n u), u = 2^-24 and b counts the steps of a block and of adding the blocks; over m
//     coordinates k = g(b) sqrt(m), times a little more than one for |v_i|;
//   - the definition's own chain of D steps is off by at most g(D) |x| |y|, a cosine's unit rows by a few u more;
//   - the bound is itself computed in binary32, in chains of less than m + 64 steps: at most 2 g(m + 64) |x| |y|,
//     for |p|^2 + rho^2 is little more than |x|^2;
//   - where the product of the rows themselves is the bound (the last stage), in any order: 2 g(D).
// Their sum is slack() |x| |y|. It becomes one more coordinate, sqrt(slack) |x|, so that a plain inner product of
// (p, rho, sqrt(slack) |x|) is the whole bound. Products that underflow lose at most D 2^-149, which kTiny outweighs.
//
// rho itself: |r|^2 = |x|^2 - |p|^2 + 2 p.dx + p'E p <= |x|^2 - |p|^2 + (2 k + e) |x|^2, a little enlarged.
//
// (g is Higham's gamma: Accuracy and Stability of Numerical Algorithms, 3.1.)
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

namespace simtile::screen {

// Coordinates are sums over blocks of so many columns, which are then added.
inline constexpr std::uint64_t kBlockDims = 128;

class ScreenMargin {
 public:
  // Rows whose norms lie beyond these are not screened: products could overflow, or vanish.
  static constexpr double kSmallestNorm = 1e-12;
  static constexpr double kLargestNorm = 1e15;
  // Of a row that is not zero; false for NaN.
  static bool fits(double norm) noexcept { return norm >= kSmallestNorm && norm <= kLargestNorm; }

  ScreenMargin(std::uint64_t columns, std::uint64_t prefix_dims, double basis_error) {
    const auto dims = static_cast<double>(columns);
    const auto prefix = static_cast<double>(prefix_dims);
    const double steps = static_cast<double>(kBlockDims) + dims / static_cast<double>(kBlockDims) + 4.0;
    const double coordinates = kMore * gamma(steps) * std::sqrt(prefix);
    projection_share_ = kMore * (2.0 * coordinates + basis_error);
    slack_ = kMore *
             (std::max(gamma(dims + 16.0) + projection_share_ + 2.0 * gamma(prefix + 64.0), 2.0 * gamma(dims + 16.0)) +
              16.0 * kUnit);
  }

  // For rows that are bounded by their own inner product: no coordinates but theirs, and nothing left out.
  static ScreenMargin of_whole_rows(std::uint64_t columns) {
    const auto dims = static_cast<double>(columns);
    ScreenMargin margin;
    margin.slack_ = kMore * (gamma(dims + 16.0) + 2.0 * gamma(dims + 64.0) + 16.0 * kUnit);
    return margin;
  }

  // Whether the shares above are small enough to be of use.
  bool is_usable() const noexcept { return slack_ < 0.05; }
  // At least the share of |x| |y| by which a pair's score, as computed, can exceed p.q + rho rho, as computed.
  double slack() const noexcept { return slack_; }
  // A row's last coordinate, for its norm (scaled as the row is).
  float slack_coordinate(double norm) const noexcept {
    return above(std::sqrt(slack_) * norm + (norm > 0.0 ? kTiny : 0.0));
  }
  // rho after coordinates whose squares sum up to `prefix_squares`.
  float residual_norm(double squared_norm, double prefix_squares) const noexcept {
    const double rest = std::max(0.0, squared_norm - prefix_squares) + (projection_share_ + 1e-12) * squared_norm;
    return above(std::sqrt(rest));
  }

 private:
  ScreenMargin() = default;

  static constexpr double kUnit = 0x1p-24;
  static constexpr double kMore = 1.05;  // for products of shares, and norms of directions beside 1
  static constexpr double kTiny = 1e-17;
  // Infinite where it says nothing: from 2^24 steps on.
  static double gamma(double steps) noexcept {
    const double roundings = steps * kUnit;
    return roundings < 1.0 ? roundings / (1.0 - roundings) : std::numeric_limits<double>::infinity();
  }
  static float above(double value) noexcept { return static_cast<float>(value * (1.0 + 0x1p-22)); }

  double projection_share_ = 0.0;
  double slack_ = 0.0;
};

}  // namespace simtile::screen
