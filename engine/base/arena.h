// Where a job's parallel work runs: an oneTBB arena of exactly so many threads.
#pragma once

#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/parallel_for.h>
#include <oneapi/tbb/task_arena.h>

#include <cstdint>

namespace simtile {

// Whether this process was forked from one that had parallel work done. oneTBB's threads are not here then, and what
// one of them held at the fork (a task just stolen, a lock that even an arena of one thread takes) is never given back:
// such a process works on one thread, without oneTBB. To be asked before each use of it: the first to ask is the
// process whose threads they are.
bool has_lost_threads() noexcept;

// Which of an arena's threads this one is, from 0 on.
inline std::size_t thread_in_arena() noexcept {
  return has_lost_threads() ? 0 : static_cast<std::size_t>(oneapi::tbb::this_task_arena::current_thread_index());
}

// Runs `work` in an arena of `threads` threads, this one among them. More threads than processors are allowed when
// asked for, which the arena alone would cap.
template <typename Work>
void run_in_arena(std::uint32_t threads, Work work) {
  if (has_lost_threads()) return work();
  const oneapi::tbb::global_control parallelism(oneapi::tbb::global_control::max_allowed_parallelism, threads);
  oneapi::tbb::task_arena arena(static_cast<int>(threads));
  arena.execute(work);
}

// body(first, last) for pieces [first, last) of [begin, end), of at least `grain`, by the threads of the arena that
// this is called in.
template <typename Body>
void parallel_pieces(std::uint64_t begin, std::uint64_t end, std::uint64_t grain, Body body) {
  if (has_lost_threads()) {
    if (begin < end) body(begin, end);
    return;
  }
  using Range = oneapi::tbb::blocked_range<std::uint64_t>;
  oneapi::tbb::parallel_for(Range(begin, end, grain), [&](const Range& range) { body(range.begin(), range.end()); });
}

// body(i) for each i in [begin, end), on `threads` threads, in pieces of at least `grain`.
template <typename Body>
void parallel_for_each(std::uint32_t threads, std::uint64_t begin, std::uint64_t end, std::uint64_t grain, Body body) {
  run_in_arena(threads, [&] {
    parallel_pieces(begin, end, grain, [&](std::uint64_t first, std::uint64_t last) {
      for (std::uint64_t i = first; i < last; ++i) body(i);
    });
  });
}

}  // namespace simtile
