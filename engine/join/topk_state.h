// The top-K state of a running job: a bound for every query row, and reservoirs for all of them (resident) or for the
// running stripe alone (then what tiles find for later rows goes through a Spill). Where all pairs are wanted that are
// good enough, the bounds say what that is and never move, and what is found goes to a PairStore.
//
// Threads: insert() and tighten() may be called from several threads at once; sorted(), is_complete() and begin_again()
// of a row that no tile is about any more, meanwhile; the rest while no other thread is in a call.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "engine/join/pair_store.h"
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
  // Neighbours kept of each row.
  std::uint64_t kept() const noexcept { return kept_; }
  const topk::Bounds& bounds() const noexcept { return bounds_; }

  // Inserts keys for one held row after another; a caller's rows come in runs of near neighbours, so a lock is kept
  // until the rows leave its range.
  class Inserter {
   public:
    explicit Inserter(TopKState& state) : state_(&state) {}
    void insert(std::uint64_t row, topk::Key key) {
      if (key >= state_->bounds_.load(row)) return;
      if (state_->pairs_) {
        pairs_[inserted_++ % pairs_.size()] = RunEntry::of(row, key);
        if (inserted_ % pairs_.size() == 0) state_->pairs_->add(pairs_);
        return;
      }
      std::mutex& mutex = state_->locks_.of(row);
      if (lock_.mutex() != &mutex) {
        if (lock_.owns_lock()) lock_.unlock();
        lock_ = std::unique_lock(mutex);
      }
      state_->reservoirs_.insert(row, key);
      ++inserted_;
    }
    // Once all is inserted; returns how many were good enough.
    std::uint64_t finish() {
      if (state_->pairs_) state_->pairs_->add(std::span(pairs_).first(inserted_ % pairs_.size()));
      return inserted_;
    }

   private:
    static constexpr std::size_t kPairsAtOnce = 256;
    TopKState* state_;
    std::unique_lock<std::mutex> lock_;
    std::uint64_t inserted_ = 0;
    std::array<RunEntry, kPairsAtOnce> pairs_;  // that wait to be handed on
  };

  // By a bound that K pairs prove, or by a guess.
  void tighten(std::uint64_t row, topk::Key bound);
  // Of a held row that has met all others: false if its bound was a guess and too tight, so that it lacks neighbours.
  bool is_complete(std::uint64_t row) const noexcept {
    return reservoirs_.is_full(row) || bounds_.load(row) == initial_bound_;
  }
  // Forgets what a held row has found, and its bound.
  void begin_again(std::uint64_t row) noexcept;

  // Not resident: takes on the next stripe's rows, with what was spilled for them.
  void begin_stripe(std::uint64_t begin, std::uint64_t end);
  std::span<const topk::Key> sorted(std::uint64_t row) noexcept { return reservoirs_.sorted(row); }
  // Of a held row's best so far, those of pairs with rows [partners_begin, partners_end), best first.
  void copy_best(std::uint64_t row, std::uint64_t partners_begin, std::uint64_t partners_end,
                 std::vector<topk::Key>& best) const {
    reservoirs_.copy_best(row, partners_begin, partners_end, best);
  }
  // Rows whose reservoirs are held now.
  std::uint64_t held_begin() const noexcept { return reservoirs_.first_row(); }
  std::uint64_t held_end() const noexcept { return reservoirs_.first_row() + reservoirs_.rows(); }
  // Takes up the candidates that an earlier process left when the rows below rows_done were done: of pairs with those.
  void restore(const std::vector<RunInfo>& runs, std::uint64_t rows_done);

  PairStore* pair_store() noexcept { return pairs_ ? &*pairs_ : nullptr; }
  Spill* spill_store() noexcept { return spill_ ? &*spill_ : nullptr; }

 private:
  bool resident_;
  std::uint64_t kept_;
  topk::Key initial_bound_;
  WorkFolder* folder_;
  topk::Bounds bounds_;
  topk::RowLocks locks_;
  topk::Reservoirs reservoirs_;
  std::optional<Spill> spill_;
  std::optional<PairStore> pairs_;
};

}  // namespace simtile::join
