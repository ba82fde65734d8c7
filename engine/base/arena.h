// Where a job's parallel work runs: an oneTBB arena of exactly so many threads.
#pragma once

#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/parallel_for.h>
#include <oneapi/tbb/task_arena.h>

#include <cstdint>

namespace simtile {

// Whether this process was forked from one that had parallel work done. oneTBB's threads are not here then, and what
// one of them held at the fork (a task just stolen, a lock) is never given back: such a process works on one thread. To
// be asked before each use of oneTBB: the first to ask is the process whose threads they are.
bool has_lost_threads() noexcept;

// Runs `work` in an arena of `threads` threads, this one among them. More threads than processors are allowed when
// asked for, which the arena alone would cap.
template <typename Work>
void run_in_arena(std::uint32_t threads, Work work) {
  if (has_lost_threads()) return oneapi::tbb::task_arena(1).execute(work);
  const oneapi::tbb::global_control parallelism(oneapi::tbb::global_control::max_allowed_parallelism, threads);
  oneapi::tbb::task_arena arena(static_cast<int>(threads));
  arena.execute(work);
}

// body(i) for each i in [begin, end), on `threads` threads, in pieces of at least `grain`.
template <typename Body>
void parallel_for_each(std::uint32_t threads, std::uint64_t begin, std::uint64_t end, std::uint64_t grain, Body body) {
  using Range = oneapi::tbb::blocked_range<std::uint64_t>;
  run_in_arena(threads, [&] {
    oneapi::tbb::parallel_for(Range(begin, end, grain), [&](const Range& range) {
      for (std::uint64_t i = range.begin(); i < range.end(); ++i) body(i);
    });
  });
}

}  // namespace simtile
