#include "engine/screen/basis.h"

#include <xxhash.h>

#include <algorithm>

#include "engine/base/arena.h"
#include "engine/base/checked.h"
#include "engine/screen/orthonormalize.h"
#include "engine/storage/row_norm.h"
#include "engine/storage/screen_layout.h"
#include "simtile/error.h"

namespace simtile::screen {
namespace {

constexpr std::uint64_t kRowsOfAPiece = 32;  // the sample is pieces of consecutive rows
constexpr std::uint32_t kMostReaders = 8;    // whose windows sample_rows() leaves room for
constexpr std::uint64_t kMostSampled = 4096;
constexpr std::uint64_t kMostBytes = std::uint64_t{48} << 20;
constexpr std::uint64_t kMostPrefixDims = 256;
constexpr int kIterations = 3;
constexpr std::uint64_t kEarlyStep = 4;  // the first iterations look at one in so many rows of the sample

bool has_early_iterations(std::uint64_t sampled, std::uint64_t prefix_dims) noexcept {
  return sampled >= kEarlyStep * 2 * prefix_dims;
}

// Random signs: row i, column c.
float sign(std::uint64_t i, std::uint64_t c) noexcept {
  std::uint64_t state = (i << 32) + c + 0x9e3779b97f4a7c15u;  // splitmix64
  state = (state ^ (state >> 30)) * 0xbf58476d1ce4e5b9u;
  state = (state ^ (state >> 27)) * 0x94d049bb133111ebu;
  return (state >> 63) != 0 ? 1.0f : -1.0f;
}

// One in `step` of the rows: at all distances from where the steps begin, as rows of a matrix may be of different kinds
// by turns.
PackedRows one_in(std::uint64_t step, PageBudget& budget, const kernels::TileKernel& kernel, const PackedRows& all) {
  PackedRows taken(budget, kernel, divide_up(all.rows(), step), all.dims());
  std::vector<float> row(all.dims());
  for (std::uint64_t r = 0; r < taken.rows(); ++r) {
    all.get_row(std::min(r * step + r % step, all.rows() - 1), row.data());
    taken.set_row(r, row.data());
  }
  return taken;
}

PackedRows transposed(PageBudget& budget, const kernels::TileKernel& kernel, const PackedRows& by_row) {
  PackedRows by_column(budget, kernel, by_row.dims(), by_row.rows());
  std::vector<float> row(by_row.dims());
  for (std::uint64_t r = 0; r < by_row.rows(); ++r) {
    by_row.get_row(r, row.data());
    by_column.set_dim(r, row.data());
  }
  return by_column;
}

}  // namespace

std::uint64_t Basis::xxh3() const noexcept {
  return XXH3_64bits(directions.as<float>(), prefix_dims * columns * sizeof(float));
}

std::uint64_t sample_rows(std::uint64_t row_count, std::uint64_t columns, std::uint64_t bytes) noexcept {
  // The sample twice, and a quarter of it twice where there are early iterations; coordinates of it (prediction.h), its
  // products with some (sampled_queries.h), and the directions four times.
  const std::uint64_t fixed_bytes = 5 * kMostPrefixDims * columns * sizeof(float);
  const std::uint64_t usable = std::min(bytes / 2, std::max(kMostBytes, 2 * fixed_bytes));
  if (fixed_bytes >= usable) return 0;
  const auto fitting_rows = [&](std::uint64_t held_columns) {
    const std::uint64_t row_bytes = (held_columns + 4 * kMostPrefixDims) * sizeof(float);
    return std::min({row_count, kMostSampled, (usable - fixed_bytes) / row_bytes});
  };
  const std::uint64_t rows = fitting_rows(2 * columns);
  const std::uint64_t prefix_dims = preferred_prefix_dims(columns, rows);
  if (!has_early_iterations(rows, prefix_dims)) return rows;
  return std::max(fitting_rows(5 * columns / 2), kEarlyStep * 2 * prefix_dims - 1);
}

std::uint64_t preferred_prefix_dims(std::uint64_t columns, std::uint64_t sampled) noexcept {
  return std::min({kMostPrefixDims, columns, sampled}) / storage::kScreenStep * storage::kScreenStep;
}

Sample::Sample(PageBudget& budget, const kernels::TileKernel& kernel, DenseRows& rows, std::uint64_t row_count,
               std::uint64_t columns, std::uint64_t sampled, const Workers& workers)
    : by_row(budget, kernel, sampled, columns), squared_norms(sampled) {
  const std::uint64_t pieces = divide_up(sampled, kRowsOfAPiece);
  parallel_for_each(std::min(workers.threads, kMostReaders), 0, pieces, 1, [&](std::uint64_t piece) {
    std::vector<float> row(columns);
    const std::uint64_t taken = piece * kRowsOfAPiece;
    const std::uint64_t count = std::min(kRowsOfAPiece, sampled - taken);
    const std::uint64_t first = taken + (pieces > 1 ? (row_count - sampled) / (pieces - 1) * piece : 0);
    DenseRows::Window window = rows.window(first, count);
    window.load(0, count);
    for (std::uint64_t r = 0; r < count; ++r) {
      window.decode_stored(r, row.data());
      const double norm = row_norm(row.data(), columns);
      squared_norms[taken + r] = static_cast<float>(norm * norm);
      const double inverse = inverse_norm(norm);
      for (float& value : row) value = unit_value(value, inverse);
      by_row.set_row(taken + r, row.data());
    }
    window.close();
  });
}

Basis make_basis(PageBudget& budget, const kernels::TileKernel& kernel, const Sample& sample, std::uint64_t columns,
                 std::uint64_t prefix_dims, const Workers& workers) {
  Basis basis;
  basis.columns = columns;
  basis.prefix_dims = prefix_dims;
  basis.directions = BudgetedMemory(budget, prefix_dims * columns * sizeof(float));
  auto* directions = basis.directions.as<float>();
  const auto begin_anew = [&](std::uint64_t i) {
    for (std::uint64_t c = 0; c < columns; ++c) directions[i * columns + c] = sign(i, c);
  };
  for (std::uint64_t i = 0; i < prefix_dims; ++i) begin_anew(i);

  const BudgetedMemory weights(budget, prefix_dims * sample.by_row.padded_rows() * sizeof(float));
  const BudgetedMemory products(budget, prefix_dims * round_up(columns, kernel.base_width) * sizeof(float));
  const auto iterate = [&](const PackedRows& by_row, const PackedRows& by_column, int passes) {
    // directions <- orthonormal rows of (directions X') X
    multiply(kernel, workers, directions, columns, prefix_dims, by_row, weights.as<float>(), by_row.padded_rows());
    multiply(kernel, workers, weights.as<float>(), by_row.padded_rows(), prefix_dims, by_column, products.as<float>(),
             by_column.padded_rows());
    for (std::uint64_t i = 0; i < prefix_dims; ++i)
      std::copy_n(products.as<float>() + i * by_column.padded_rows(), columns, directions + i * columns);
    orthonormalize(directions, prefix_dims, columns, passes, workers.threads);
  };
  const PackedRows by_column = transposed(budget, kernel, sample.by_row);
  if (has_early_iterations(sample.by_row.rows(), prefix_dims)) {
    const PackedRows early_by_row = one_in(kEarlyStep, budget, kernel, sample.by_row);
    const PackedRows early_by_column = transposed(budget, kernel, early_by_row);
    for (int iteration = 1; iteration < kIterations; ++iteration) iterate(early_by_row, early_by_column, 1);
    // Directions that those rows do not have, others may.
    for (std::uint64_t i = 0; i < prefix_dims; ++i)
      if (std::all_of(directions + i * columns, directions + (i + 1) * columns, [](float v) { return v == 0.0f; }))
        begin_anew(i);
  } else {
    for (int iteration = 1; iteration < kIterations; ++iteration) iterate(sample.by_row, by_column, 1);
  }
  iterate(sample.by_row, by_column, 2);
  basis.error = orthonormality_error(directions, prefix_dims, columns, workers.threads);
  return basis;
}

Basis find_basis(PageBudget& budget, const kernels::TileKernel& kernel, DenseRows& rows, std::uint64_t row_count,
                 std::uint64_t columns, const Workers& workers) {
  const std::uint64_t sampled = sample_rows(row_count, columns, budget.remaining_bytes());
  if (sampled < kFewestRows)
    throw Error(ErrorCode::kBudgetTooSmall, "the budget leaves no room to sample rows of " + std::to_string(columns) +
                                                " columns; give a larger one");
  const Sample sample(budget, kernel, rows, row_count, columns, sampled, workers);
  return make_basis(budget, kernel, sample, columns, preferred_prefix_dims(columns, sampled), workers);
}

}  // namespace simtile::screen
