// The directions of a screen: a few orthonormal ones that hold most of the rows' energy, found in a sample.
//
// Block power iterations on the sample's second moments (Golub and Van Loan, Matrix Computations, 8.2.4: orthogonal
// iteration), the first ones on those of a quarter of it, from fixed random signs: the same matrix always gives the
// same directions on the same instruction set. Any nearly orthonormal directions are right; good ones make the screen
// let fewer pairs through.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/kernels/tile_kernel.h"
#include "engine/memory/dense_rows.h"
#include "engine/screen/row_products.h"

namespace simtile::screen {

struct Basis {
  std::uint64_t columns = 0;
  std::uint64_t prefix_dims = 0;
  double error = 0.0;         // at least the spectral norm of (V'V - 1)
  BudgetedMemory directions;  // prefix_dims x columns floats: the rows of V'; a direction may be zero

  std::uint64_t xxh3() const noexcept;
};

// Unit rows of a matrix, spread over it.
struct Sample {
  Sample(PageBudget& budget, const kernels::TileKernel& kernel, DenseRows& rows, std::uint64_t row_count,
         std::uint64_t columns, std::uint64_t sampled, const Workers& workers);
  PackedRows by_row;                 // sampled x columns
  std::vector<float> squared_norms;  // as stored
};

// How many rows to sample when `bytes` are at hand for all that making a basis takes; 0 when that is too little.
std::uint64_t sample_rows(std::uint64_t row_count, std::uint64_t columns, std::uint64_t bytes) noexcept;
// How many coordinates a screen file keeps of each row.
std::uint64_t preferred_prefix_dims(std::uint64_t columns, std::uint64_t sampled) noexcept;

// Below these a screen is not worth its files.
inline constexpr std::uint64_t kFewestColumns = 32;
inline constexpr std::uint64_t kFewestRows = 64;

Basis make_basis(PageBudget& budget, const kernels::TileKernel& kernel, const Sample& sample, std::uint64_t columns,
                 std::uint64_t prefix_dims, const Workers& workers);

// Samples, then makes a basis, within what is left of the budget. Throws Error(kBudgetTooSmall).
Basis find_basis(PageBudget& budget, const kernels::TileKernel& kernel, DenseRows& rows, std::uint64_t row_count,
                 std::uint64_t columns, const Workers& workers);

}  // namespace simtile::screen
