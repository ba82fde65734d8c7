// Where a job's parallel work runs: an oneTBB arena of exactly so many threads.
#pragma once

#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/task_arena.h>

#include <cstdint>

namespace simtile::join {

// Runs `work` in an arena of `threads` threads, this one among them. More threads than processors are allowed when
// asked for, which the arena alone would cap.
template <typename Work>
void run_in_arena(std::uint32_t threads, Work work) {
  const oneapi::tbb::global_control parallelism(oneapi::tbb::global_control::max_allowed_parallelism, threads);
  oneapi::tbb::task_arena arena(static_cast<int>(threads));
  arena.execute(work);
}

}  // namespace simtile::join
