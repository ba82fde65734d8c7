// Makes the screen file of a matrix: one pass over its rows, in bounded memory.
#pragma once

#include <atomic>
#include <string>

#include "engine/kernels/tile_kernel.h"
#include "engine/memory/dense_rows.h"
#include "engine/screen/basis.h"
#include "engine/storage/container_writer.h"
#include "engine/storage/matrix_file.h"

namespace simtile::screen {

struct BuildOptions {
  std::uint32_t threads = 1;
  const std::atomic<bool>* stop = nullptr;  // may be null; throws Error(kInterrupted) once it is set
  storage::Durability durability = storage::Durability::kSynced;
};

// Projects every row of `matrix` and publishes the file at `path`. False, and no file, when a row is too long or too
// short for a screen (ScreenMargin).
[[nodiscard]] bool build_screen(PageBudget& budget, const kernels::TileKernel& kernel,
                                const storage::MatrixFile& matrix, DenseRows& rows, const Basis& basis,
                                const std::string& path, const BuildOptions& options);
// What that takes at most beside the basis.
std::uint64_t build_bytes(const kernels::TileKernel& kernel, std::uint64_t prefix_dims, std::uint64_t columns,
                          std::uint64_t row_bytes, std::uint32_t threads) noexcept;

}  // namespace simtile::screen
