// The header fields of a screen file (.screen), after the container's own: docs/file_format.md, "Screen files".
//
// A screen is a sidecar of one dense matrix: each row's coordinates along a few orthonormal directions, and upper
// bounds on the norm of what they leave out. screen/screen_margin.h tells what follows from them.
#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/storage/container_layout.h"

namespace simtile::storage {

inline constexpr char kScreenMagic[8] = {'S', 'I', 'M', 'T', 'S', 'C', 'R', '\n'};

// A residual is kept after each so many coordinates.
inline constexpr std::uint64_t kScreenStep = 16;

struct ScreenBody {
  std::uint64_t rows;
  std::uint64_t columns;          // of the matrix
  std::uint64_t prefix_dims;      // coordinates of each row, a multiple of kScreenStep
  std::uint64_t matrix_identity;  // header_xxh3 of the matrix file
  std::uint64_t basis_xxh3;       // XXH3-64 of the directions' bytes
  double basis_error;             // at least the spectral norm of (V'V - 1), V being the directions
  double smallest_norm;           // of the rows that are not zero; 0 when all are
  double largest_norm;
};
static_assert(sizeof(ScreenBody) == 64);
static_assert(offsetof(ScreenBody, basis_error) == 40);

}  // namespace simtile::storage
