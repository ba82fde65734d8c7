// Columns by a Zipf law: column c has the probability of the interval [c + 1, c + 2) under the density x^-exponent on
// [1, columns + 1). Column 0 is the most frequent. Drawn by inversion, which needs no table, with a logarithm and an
// exponential of our own, so that every machine draws the same columns.
//
// Threads: const methods may be called from several threads at once.
#pragma once

#include <cstdint>

namespace simtile::formats {

class ZipfLaw {
 public:
  // `exponent` from 0 (all columns alike) to 8.
  ZipfLaw(std::uint64_t columns, double exponent) noexcept;
  // The column at which the distribution function reaches u, 0 <= u < 1.
  std::uint64_t column(double u) const noexcept;

 private:
  std::uint64_t columns_;
  double log_end_;  // ln(columns + 1)
  double one_minus_exponent_;
  double span_;  // (columns + 1)^(1 - exponent) - 1
};

// Natural logarithm of a positive normal number and the exponential function, good to about 1e-15, the same bits
// everywhere.
double portable_log(double x) noexcept;
double portable_exp(double x) noexcept;

}  // namespace simtile::formats
