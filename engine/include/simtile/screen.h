// Screen files: what a join or search needs to skip work without changing a bit of the answer, made once.
//
// A job whose matrix `A.emb` has `A.emb.screen` beside it uses that; otherwise a job that wants a screen makes one for
// itself. A screen file belongs to the very matrix it was made from: one of another matrix is not used.
//
// Threads: independent calls may run at once from several threads.
// Errors (simtile::Error): kInvalidArgument (sparse, or fewer than 32 columns or 64 rows), kBudgetTooSmall, kCorrupt
// (a damaged matrix), kIo, kInterrupted.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

#include "simtile/types.h"

namespace simtile {

struct ScreenOptions {
  std::string output_path;         // empty: default_screen_path(matrix_path)
  std::uint64_t budget_bytes = 0;  // bounds the whole process; 0: default_budget_bytes()
  std::uint32_t threads = 0;       // 0: one for each processor this process may use
  Isa isa = Isa::kAuto;
  const std::atomic<bool>* stop = nullptr;  // set it to true to interrupt
};

struct ScreenInfo {
  std::uint64_t rows = 0;
  std::uint64_t columns = 0;      // of the matrix
  std::uint64_t prefix_dims = 0;  // coordinates kept of each row
  double smallest_norm = 0.0;     // of the rows that are not zero
  double largest_norm = 0.0;
  std::uint64_t matrix_identity = 0;  // of the matrix it was made from
  std::uint64_t file_bytes = 0;
  std::uint64_t identity = 0;
};

// "<matrix_path>.screen"
std::string default_screen_path(const std::string& matrix_path);

// Makes the screen file of a dense matrix, in one pass over a sample and one over all rows.
ScreenInfo build_screen(const std::string& matrix_path, const ScreenOptions& options);

ScreenInfo read_screen_info(const std::string& screen_path);

}  // namespace simtile
