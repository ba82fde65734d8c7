// The directions of a screen: that they hold what the rows hold, whichever of the sample's rows are looked at first.
#include "engine/screen/basis.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <numeric>
#include <vector>

#include "engine/storage/matrix_file.h"
#include "tests/job_oracle.h"
#include "tests/test_files.h"

namespace simtile::tests {
namespace {

constexpr std::uint64_t kRows = 2100, kColumns = 400, kDirections = 256;

// Rows of two kinds in columns of their own: the first in `first_rank` of them, and those of which `is_second(row)` in
// 20.
template <typename Choice>
TestMatrix rows_of_two_kinds(std::uint64_t first_rank, const Choice& is_second) {
  const TestMatrix values = random_matrix(kRows, first_rank, 1);
  TestMatrix matrix{kRows, kColumns, std::vector<float>(kRows * kColumns)};
  for (std::uint64_t r = 0; r < kRows; ++r)
    std::copy_n(values.row(r), is_second(r) ? 20 : first_rank,
                matrix.values.data() + r * kColumns + (is_second(r) ? first_rank : 0));
  return matrix;
}

// The largest share of a row's energy that no direction holds, of the rows of the second kind.
template <typename Choice>
double most_left_out(std::uint64_t first_rank, const Choice& is_second) {
  const TestMatrix matrix = rows_of_two_kinds(first_rank, is_second);
  const TempFolder folder;
  write_matrix(folder / "a.emb", matrix);
  PageBudget budget(std::uint64_t{1} << 28);
  const storage::MatrixFile file = storage::MatrixFile::open(folder / "a.emb");
  DenseRows rows(file, std::make_shared<const std::vector<std::uint64_t>>(file.container().load_checksums()), budget,
                 false);
  const kernels::TileKernel& kernel = kernels::select_kernel(Isa::kAuto);
  const screen::Sample sample(budget, kernel, rows, kRows, kColumns, kRows, {});
  const screen::Basis basis = screen::make_basis(budget, kernel, sample, kColumns, kDirections, {2, nullptr});
  double most = 0.0;
  std::vector<float> unit(kColumns);
  for (std::uint64_t r = 0; r < kRows; ++r) {
    if (!is_second(r)) continue;
    sample.by_row.get_row(r, unit.data());
    double left = std::inner_product(unit.begin(), unit.end(), unit.begin(), 0.0);
    for (std::uint64_t d = 0; d < kDirections; ++d) {
      const double along =
          std::inner_product(unit.begin(), unit.end(), basis.directions.as<float>() + d * kColumns, 0.0);
      left -= along * along;
    }
    most = std::max(most, left);
  }
  return most;
}

// The first kind alone would take all directions, though the second has more energy in each of its own.
TEST(Basis, HoldsRowsOfTwoKindsByTurns) {
  for (const std::uint64_t period : {2u, 4u, 8u})
    EXPECT_LT(most_left_out(300, [&](std::uint64_t r) { return r % period == period - 1; }), 0.01) << period;
}

// Those that the first iterations take, one in four and one further on each time, are of the first kind, and few
// directions are enough for it.
TEST(Basis, HoldsRowsThatTheFirstIterationsLeaveOut) {
  EXPECT_LT(most_left_out(20, [](std::uint64_t r) { return r % 16 % 5 != 0; }), 0.01);
}

}  // namespace
}  // namespace simtile::tests
