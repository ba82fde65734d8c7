#include "engine/formats/zipf.h"

#include <algorithm>
#include <cmath>

namespace simtile::formats {
namespace {

constexpr double kLn2 = 0x1.62e42fefa39efp-1;
constexpr double kSqrtHalf = 0x1.6a09e667f3bcdp-1;
// Below this distance from 1 the power law is taken as 1/x: the general formula would divide 0 by 0.
constexpr double kNearOne = 1e-9;

}  // namespace

// x = m 2^e with m in [sqrt(1/2), sqrt(2)); ln m = 2 (z + z^3/3 + z^5/5 + ...) with z = (m - 1) / (m + 1) <= 0.172.
double portable_log(double x) noexcept {
  int exponent = 0;
  double m = std::frexp(x, &exponent);  // exact
  if (m < kSqrtHalf) {
    m *= 2.0;
    --exponent;
  }
  const double z = (m - 1.0) / (m + 1.0);
  const double square = z * z;
  double sum = 0.0;
  for (int k = 21; k >= 1; k -= 2) sum = sum * square + 1.0 / k;
  return 2.0 * z * sum + exponent * kLn2;
}

// x = n ln 2 + r with |r| <= 0.35; e^r by its series.
double portable_exp(double x) noexcept {
  const double n = std::floor(x / kLn2 + 0.5);
  const double r = x - n * kLn2;
  double sum = 1.0;
  for (int k = 14; k >= 1; --k) sum = 1.0 + sum * r / k;
  return std::ldexp(sum, static_cast<int>(n));  // exact
}

ZipfLaw::ZipfLaw(std::uint64_t columns, double exponent) noexcept
    : columns_(columns),
      log_end_(portable_log(static_cast<double>(columns) + 1.0)),
      one_minus_exponent_(1.0 - exponent),
      span_(portable_exp(one_minus_exponent_ * log_end_) - 1.0) {}

std::uint64_t ZipfLaw::column(double u) const noexcept {
  const double log_x =
      std::fabs(one_minus_exponent_) < kNearOne ? u * log_end_ : portable_log(1.0 + u * span_) / one_minus_exponent_;
  const double x = portable_exp(log_x);
  const double column = std::max(0.0, std::floor(x) - 1.0);
  return std::min(static_cast<std::uint64_t>(column), columns_ - 1);
}

}  // namespace simtile::formats
