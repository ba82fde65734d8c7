// The top-K state of a running job: a bound for every query row, and reservoirs for all of them (resident) or for the
// running stripe alone (then what tiles find for later rows goes through a Spill).
//
// Threads: insert(), spill() and tighten() may be called from several threads at once; the rest while no other thread
// is in a call.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "engine/join/spill.h"
#include "engine/memory/lease.h"
#include "engine/plan/tile_plan.h"
#include "engine/topk/reservoirs.h"

namespace simtile::join {

class TopKState {
 public:
  TopKState(PageBudget& budget, const plan::Shapes& shapes, const plan::TilePlan& plan, topk::Key initial_bound,
            const kernels::TileKernel& kernel, WorkFolder& folder);

  bool is_resident() const noexcept { return resident_; }
  const topk::Bounds& bounds() const noexcept { return bounds_; }

  // Inserts keys for one held row after another; a caller's rows come in runs of near neighbours, so a lock is kept
  // until the rows leave its range.
  class Inserter {
   public:
    explicit Inserter(TopKState& state) : state_(&state) {}
    void insert(std::uint64_t row, topk::Key key) {
      if (key >= state_->bounds_.load(row)) return;
      std::mutex& mutex = state_->locks_.of(row);
      if (lock_.mutex() != &mutex) {
        if (lock_.owns_lock()) lock_.unlock();
        lock_ = std::unique_lock(mutex);
      }
      state_->reservoirs_.insert(row, key);
      ++inserted_;
    }
    std::uint64_t inserted() const noexcept { return inserted_; }

   private:
    TopKState* state_;
    std::unique_lock<std::mutex> lock_;
    std::uint64_t inserted_ = 0;
  };

  // Candidates for rows that are not held: the best of one tile, and the bounds that they prove.
  void spill(std::span<const RunEntry> entries) { spill_->add(entries); }
  void tighten(std::uint64_t row, topk::Key bound);

  // Not resident: takes on the next stripe's rows, with what was spilled for them.
  void begin_stripe(std::uint64_t begin, std::uint64_t end);
  std::span<const topk::Key> sorted(std::uint64_t row) noexcept { return reservoirs_.sorted(row); }
  // Rows whose reservoirs are held now.
  std::uint64_t held_begin() const noexcept { return reservoirs_.first_row(); }
  std::uint64_t held_end() const noexcept { return reservoirs_.first_row() + reservoirs_.rows(); }
  // Takes up the candidates that an earlier process left when the rows below rows_done were done: of pairs with those.
  void restore(const std::vector<RunInfo>& runs, std::uint64_t rows_done);

  Spill* spill_store() noexcept { return spill_ ? &*spill_ : nullptr; }

 private:
  bool resident_;
  WorkFolder* folder_;
  topk::Bounds bounds_;
  topk::RowLocks locks_;
  topk::Reservoirs reservoirs_;
  std::optional<Spill> spill_;
};

}  // namespace simtile::join
