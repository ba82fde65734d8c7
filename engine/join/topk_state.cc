#include "engine/join/topk_state.h"

#include <algorithm>

#include "engine/join/run_merge.h"

namespace simtile::join {

TopKState::TopKState(PageBudget& budget, const plan::Shapes& shapes, const plan::TilePlan& plan,
                     topk::Key initial_bound, const kernels::TileKernel& kernel, WorkFolder& folder)
    : resident_(plan.resident),
      kept_(plan.kept),
      initial_bound_(initial_bound),
      folder_(&folder),
      bounds_(budget, shapes.query_rows, initial_bound),
      locks_(shapes.query_rows),
      reservoirs_(budget, bounds_, kernel.prune_keys, shapes.query_begin(),
                  shapes.all_pairs ? 0
                  : plan.resident  ? shapes.found_rows()
                                   : std::min(plan.stripe_rows, shapes.query_rows),
                  plan.kept, plan.reservoir_capacity) {
  if (shapes.all_pairs) pairs_.emplace(folder, budget, plan.spill_bytes);
  if (plan::spills(shapes, plan)) spill_.emplace(folder, budget, plan.spill_bytes, plan.kept, bounds_);
}

void TopKState::tighten(std::uint64_t row, topk::Key bound) {
  const std::lock_guard lock(locks_.of(row));
  if (bound < bounds_.load(row)) bounds_.store(row, bound);
}

void TopKState::begin_again(std::uint64_t row) noexcept {
  reservoirs_.clear(row);
  bounds_.store(row, initial_bound_);
}

void TopKState::begin_stripe(std::uint64_t begin, std::uint64_t end) {
  if (resident_) return;
  reservoirs_.reset(begin, end - begin);
  if (!spill_) return;
  spill_->load(begin, end, [&](std::uint64_t row, topk::Key key) { reservoirs_.insert(row, key); });
}

void TopKState::restore(const std::vector<RunInfo>& runs, std::uint64_t rows_done) {
  if (pairs_) {
    pairs_->adopt(runs);
    return;
  }
  if (spill_) {
    spill_->adopt(runs, rows_done);
    return;
  }
  std::vector<RunReader> readers = open_runs(folder_->path(), runs, folder_->scope(), rows_done);
  merge_rows(readers, [&](std::uint64_t row, std::span<const topk::Key> keys) {
    std::uint64_t in_row = 0;
    for (const topk::Key key : keys) {
      if (topk::key_row(key) >= rows_done) continue;
      reservoirs_.insert(row, key);
      if (++in_row < kept_) continue;
      tighten(row, topk::bound_that_admits(key));
      break;
    }
  });
}

}  // namespace simtile::join
