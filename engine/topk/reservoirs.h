// The top-K state of a range of rows: for each row a small reservoir of keys (candidate_key.h) and a bound.
//
// A candidate below the row's bound is appended. A full reservoir is pruned in bulk to its K best and a few more, and
// what separates them from the rest becomes the bound. A candidate costs an append and its share of a few linear
// passes, never a heap.
// Which candidates arrive first changes what is rejected early, never what is kept.
//
// Threads: insert() and prune() of a row need that row's lock (RowLocks); bounds may be read without.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "engine/base/checked.h"
#include "engine/kernels/tile_kernel.h"
#include "engine/memory/lease.h"
#include "engine/topk/candidate_key.h"

namespace simtile::topk {

// One bound for each row of a job, resident for as long as the job runs.
class Bounds {
 public:
  Bounds(PageBudget& budget, std::uint64_t rows, Key initial);
  Key load(std::uint64_t row) const noexcept {
    return std::atomic_ref<Key>(keys_[row]).load(std::memory_order_relaxed);
  }
  void store(std::uint64_t row, Key bound) noexcept {
    std::atomic_ref<Key>(keys_[row]).store(bound, std::memory_order_relaxed);
  }
  static std::uint64_t cost_bytes(std::uint64_t rows) noexcept { return rows * sizeof(Key); }

 private:
  BudgetedMemory memory_;
  Key* keys_;
};

// One lock for each kRowsPerLock rows, each on a cache line of its own.
class RowLocks {
 public:
  static constexpr std::uint64_t kRowsPerLock = 1024;
  explicit RowLocks(std::uint64_t rows)
      : locks_(std::make_unique<Padded[]>(static_cast<std::size_t>(rows / kRowsPerLock + 1))) {}
  std::mutex& of(std::uint64_t row) noexcept { return locks_[static_cast<std::size_t>(row / kRowsPerLock)].mutex; }
  static std::uint64_t cost_bytes(std::uint64_t rows) noexcept { return (rows / kRowsPerLock + 1) * sizeof(Padded); }

 private:
  struct alignas(64) Padded {
    std::mutex mutex;
  };
  std::unique_ptr<Padded[]> locks_;
};

class Reservoirs {
 public:
  // Rows [first_row, first_row + rows); 1 <= top_k < capacity.
  Reservoirs(PageBudget& budget, Bounds& bounds, kernels::PruneKeys prune_keys, std::uint64_t first_row,
             std::uint64_t rows, std::uint64_t top_k, std::uint64_t capacity);

  bool holds(std::uint64_t row) const noexcept { return row - first_row_ < rows_; }
  std::uint64_t first_row() const noexcept { return first_row_; }
  std::uint64_t rows() const noexcept { return rows_; }

  // Keeps the key if it is below the row's bound.
  void insert(std::uint64_t row, Key key) noexcept {
    if (key >= bounds_->load(row)) return;
    const std::uint64_t local = row - first_row_;
    Key* keys = keys_ + local * capacity_;
    keys[counts_[local]++] = key;
    if (counts_[local] == capacity_) prune(row);
  }

  // Whether the row has top_k keys or more.
  bool is_full(std::uint64_t row) const noexcept { return counts_[row - first_row_] >= top_k_; }
  // Empties one row's.
  void clear(std::uint64_t row) noexcept { counts_[row - first_row_] = 0; }

  // The row's best keys so far, at most top_k, best first. The span holds until the row's next insert.
  std::span<const Key> sorted(std::uint64_t row) noexcept;
  // Those of the row's top_k best keys that name rows [partners_begin, partners_end), best first.
  void copy_best(std::uint64_t row, std::uint64_t partners_begin, std::uint64_t partners_end,
                 std::vector<Key>& best) const;
  // Empties all reservoirs and takes on another range of at most as many rows; bounds stay.
  void reset(std::uint64_t first_row, std::uint64_t rows) noexcept;

  static std::uint64_t cost_bytes(std::uint64_t rows, std::uint64_t capacity) noexcept {
    constexpr std::uint64_t kMoreThanAnyBudget = std::uint64_t{1} << 52;
    std::uint64_t bytes = 0;
    if (capacity > kMoreThanAnyBudget / sizeof(Key) ||
        multiply_overflows(rows, capacity * sizeof(Key) + sizeof(std::uint32_t), &bytes))
      return kMoreThanAnyBudget;
    return std::min(bytes, kMoreThanAnyBudget);
  }

 private:
  // A pruned reservoir holds at most so many keys.
  std::uint64_t pruned_keys() const noexcept { return top_k_ + (capacity_ - top_k_) / 8; }
  void prune(std::uint64_t row) noexcept;

  Bounds* bounds_;
  kernels::PruneKeys prune_keys_;
  std::uint64_t first_row_;
  std::uint64_t rows_;
  std::uint64_t top_k_;
  std::uint64_t capacity_;
  BudgetedMemory key_memory_;
  BudgetedMemory count_memory_;
  Key* keys_;
  std::uint32_t* counts_;
};

}  // namespace simtile::topk
