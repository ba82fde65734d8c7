// Orthonormal rows, by the modified Gram-Schmidt process.
#pragma once

#include <cstdint>

namespace simtile::screen {

// Makes the rows (rows x columns, row-major) orthonormal in place, each from those before it; a row that depends on
// them becomes zero. `passes`: one is enough between iterations, two for rows orthonormal to binary32's precision
// (Giraud et al.: twice is enough).
void orthonormalize(float* values, std::uint64_t rows, std::uint64_t columns, int passes, std::uint32_t threads);

// At least the spectral norm of (A A' - 1) over the rows of A that are not zero: the largest sum of a row's magnitudes.
double orthonormality_error(const float* values, std::uint64_t rows, std::uint64_t columns, std::uint32_t threads);

}  // namespace simtile::screen
