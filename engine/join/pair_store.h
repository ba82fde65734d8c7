// All pairs of a join by threshold, whatever their number, in bounded memory: an external sort by row, then key.
//
// Entries are collected in one buffer; a full buffer is sorted and written as a run of level 0. When kFanIn runs of one
// level have gathered they are merged into one of the next: an entry is written again once for each kFanIn times as
// many entries. At the end the runs that are left are read as one sorted sequence, which is the answer's order.
//
// What a job that was stopped had found in a stripe under way is found again when it goes on. It is the same to the
// bit, and merging gives equal entries once.
//
// Threads: add() may be called from several threads at once; the rest from one thread while no other is in a call.
// Errors: Error(kIo), Error(kCorrupt) for a damaged run.
#pragma once

#include <cstdint>
#include <functional>
#include <mutex>
#include <span>
#include <vector>

#include "engine/join/journal.h"
#include "engine/join/run_file.h"
#include "engine/join/run_merge.h"
#include "engine/memory/lease.h"

namespace simtile::join {

class PairStore {
 public:
  PairStore(WorkFolder& folder, PageBudget& budget, std::uint64_t memory_bytes);

  void add(std::span<const RunEntry> entries);
  // Takes over runs that an earlier process left.
  void adopt(std::span<const RunInfo> runs);
  // Writes the buffer out and gives the runs that are all there is.
  std::vector<RunInfo> flush();
  // Gives every entry, in order, to `take`. Before that, runs may have to be merged, during which `throw_if_stopped` is
  // called now and then.
  template <typename Take>
  void for_each(Take take, const std::function<void()>& throw_if_stopped = nullptr) {
    write_buffer();
    while (runs_.size() > kFanIn) merge_last(std::min(kFanIn, runs_.size() - kFanIn + 1), throw_if_stopped);
    std::vector<RunInfo> runs;
    for (const Run& run : runs_) runs.push_back(run.info);
    merge_runs(folder_->path(), runs, folder_->scope(), 0, take);
  }
  std::uint64_t bytes_written() const noexcept { return bytes_written_; }

 private:
  static constexpr std::size_t kFanIn = 16;
  struct Run {
    RunInfo info;
    std::uint32_t level;
  };
  void write_buffer();
  // Levels descend from the first run to the last, so that the last ones are the smallest.
  void merge_last(std::size_t count, const std::function<void()>& throw_if_stopped = nullptr);

  WorkFolder* folder_;
  std::mutex mutex_;
  BudgetedMemory memory_;
  std::span<RunEntry> buffer_;
  std::size_t used_ = 0;
  std::vector<Run> runs_;
  std::uint64_t bytes_written_ = 0;
};

}  // namespace simtile::join
