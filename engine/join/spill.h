// Candidates of rows whose turn has not come, when the top-K state of all rows does not fit in the budget.
//
// Tiles of stripe s find neighbours for every later row. What they find is collected in one buffer, where each tile's
// are a sequence that ascends; a full buffer's sequences are merged and written as a run. When kFanIn runs have
// gathered they are merged into one that keeps the best K of each row, and the K-th becomes the row's bound: the spill
// stays near K entries a row however long the job runs, and the bounds tighten as it is compacted. When a stripe's turn
// comes, its rows are read from each run in one sweep.
//
//   Adder ... Adder  ->  buffer  ->  run, run, ... run  -> merge ->  run          load(stripe 0), load(stripe 1), ...
//
// Cost: with N rows, about N K (1 + ln(N / K)) entries of 12 bytes arrive in random order, fewer where bounds were
// guessed (guessed_bounds.h); each is written once or twice and read as often.
//
// Threads: there may be Adders on several threads, which wait for each other; the rest from one thread while no other
// is in a call.
#pragma once

#include <cstdint>
#include <functional>
#include <mutex>
#include <span>
#include <vector>

#include "engine/join/journal.h"
#include "engine/join/run_file.h"
#include "engine/memory/lease.h"
#include "engine/plan/memory_model.h"
#include "engine/topk/reservoirs.h"

namespace simtile::join {

class Spill {
 public:
  Spill(WorkFolder& folder, PageBudget& budget, std::uint64_t memory_bytes, std::uint64_t kept, topk::Bounds& bounds);

  // A tile's candidates: rows ascend, and each row's keys. Nobody else's come between them.
  class Adder {
   public:
    explicit Adder(Spill& spill) : spill_(spill), lock_(spill.mutex_) {}
    void add(RunEntry entry) { spill_.append(entry); }

   private:
    Spill& spill_;
    std::lock_guard<std::mutex> lock_;
  };
  // Takes over runs that an earlier process left when the rows below rows_done were done. What it found in a stripe
  // that was under way is dropped: that stripe is scored again.
  void adopt(std::vector<RunInfo> runs, std::uint64_t rows_done);

  // Gives every entry of rows [begin, end) to `take` and forgets all rows below `end`.
  void load(std::uint64_t begin, std::uint64_t end, const std::function<void(std::uint64_t row, topk::Key)>& take);

  // Writes the buffer out, so that the runs are all there is.
  const std::vector<RunInfo>& flush();
  // Merges all that is left into one run.
  RunInfo finish();
  std::uint64_t bytes_written() const noexcept { return bytes_written_; }

 private:
  static constexpr std::size_t kFanIn = plan::kSpillFanIn;
  void append(RunEntry entry);
  void put(const RunEntry& entry);
  template <typename Take>
  void take_in_order(Take take) const;
  void write_buffer();
  // Merges all runs into one, without the pairs with rows from partners_below on.
  void compact(std::uint64_t partners_below);

  WorkFolder* folder_;
  std::uint64_t kept_;
  topk::Bounds* bounds_;
  std::mutex mutex_;
  BudgetedMemory memory_;
  std::span<RunEntry> buffer_;
  std::size_t used_ = 0;
  std::vector<std::uint32_t> sequences_;  // where each begins in the buffer
  std::vector<RunInfo> runs_;
  std::uint64_t rows_passed_ = 0;  // entries of smaller rows are of no more use
  std::uint64_t bytes_written_ = 0;
};

}  // namespace simtile::join
