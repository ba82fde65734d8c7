#include "engine/screen/orthonormalize.h"

#include <cmath>
#include <vector>

#include "engine/base/arena.h"
#include "engine/base/wide_clones.h"

namespace simtile::screen {
namespace {

constexpr std::uint64_t kLanes = 16;

// Sums in binary64, in sixteen lanes for the compiler to vectorise.
SIMTILE_WIDE_CLONES
double dot(const float* a, const float* b, std::uint64_t columns) {
  double lane[kLanes] = {};
  std::uint64_t c = 0;
  for (; c + kLanes <= columns; c += kLanes)
    for (std::uint64_t l = 0; l < kLanes; ++l) lane[l] += static_cast<double>(a[c + l]) * static_cast<double>(b[c + l]);
  double sum = 0.0;
  for (; c < columns; ++c) sum += static_cast<double>(a[c]) * static_cast<double>(b[c]);
  for (const double value : lane) sum += value;
  return sum;
}

SIMTILE_WIDE_CLONES
void subtract(const float* direction, float share, std::uint64_t columns, float* from) {
  for (std::uint64_t c = 0; c < columns; ++c) from[c] -= share * direction[c];
}

void scale(float* row, double factor, std::uint64_t columns) {
  for (std::uint64_t c = 0; c < columns; ++c) row[c] = static_cast<float>(static_cast<double>(row[c]) * factor);
}

// A row that has lost this share of its length to those before it is rounding noise.
constexpr double kDependent = 1e-5;
constexpr std::uint64_t kRowsATask = 16;

}  // namespace

void orthonormalize(float* values, std::uint64_t rows, std::uint64_t columns, int passes, std::uint32_t threads) {
  for (int pass = 0; pass < passes; ++pass) {
    std::vector<double> length(rows);
    for (std::uint64_t i = 0; i < rows; ++i)
      length[i] = std::sqrt(dot(values + i * columns, values + i * columns, columns));
    run_in_arena(threads, [&] {
      for (std::uint64_t i = 0; i < rows; ++i) {
        float* row = values + i * columns;
        const double left = std::sqrt(dot(row, row, columns));
        scale(row, left > kDependent * length[i] ? 1.0 / left : 0.0, columns);
        const auto subtract_from = [&](std::uint64_t later) {
          float* other = values + later * columns;
          subtract(row, static_cast<float>(dot(row, other, columns)), columns, other);
        };
        parallel_pieces(i + 1, rows, kRowsATask, [&](std::uint64_t first, std::uint64_t last) {
          for (std::uint64_t later = first; later < last; ++later) subtract_from(later);
        });
      }
    });
  }
}

double orthonormality_error(const float* values, std::uint64_t rows, std::uint64_t columns, std::uint32_t threads) {
  std::vector<double> row_sums(rows);
  parallel_for_each(threads, 0, rows, 4, [&](std::uint64_t i) {
    const float* row = values + i * columns;
    const double own = dot(row, row, columns);
    if (own == 0.0) return;
    double sum = std::fabs(own - 1.0);
    for (std::uint64_t j = 0; j < rows; ++j)
      if (j != i) sum += std::fabs(dot(row, values + j * columns, columns));
    row_sums[i] = sum;
  });
  double largest = 0.0;
  for (const double sum : row_sums)
    if (!(sum <= largest)) largest = sum;  // NaN too: directions that are not numbers have no error that would do
  return largest + 1e-12;
}

}  // namespace simtile::screen
