#include "engine/topk/reservoirs.h"

#include <algorithm>
#include <cstring>

#include "engine/topk/sort_keys.h"

namespace simtile::topk {

Bounds::Bounds(PageBudget& budget, std::uint64_t rows, Key initial)
    : memory_(budget, rows * sizeof(Key)), keys_(memory_.as<Key>()) {
  std::fill_n(keys_, rows, initial);
}

Reservoirs::Reservoirs(PageBudget& budget, Bounds& bounds, kernels::PruneKeys prune_keys, std::uint64_t first_row,
                       std::uint64_t rows, std::uint64_t top_k, std::uint64_t capacity)
    : bounds_(&bounds),
      prune_keys_(prune_keys),
      first_row_(first_row),
      rows_(rows),
      top_k_(top_k),
      capacity_(capacity),
      key_memory_(budget, rows * capacity * sizeof(Key)),
      count_memory_(budget, rows * sizeof(std::uint32_t)),
      keys_(key_memory_.as<Key>()),
      counts_(count_memory_.as<std::uint32_t>()) {}

void Reservoirs::prune(std::uint64_t row) noexcept {
  const std::uint64_t local = row - first_row_;
  const kernels::Pruned pruned = prune_keys_(keys_ + local * capacity_, counts_[local], top_k_, pruned_keys());
  counts_[local] = static_cast<std::uint32_t>(pruned.count);
  bounds_->store(row, std::min(pruned.bound, bounds_->load(row)));
}

std::span<const Key> Reservoirs::sorted(std::uint64_t row) noexcept {
  const std::uint64_t local = row - first_row_;
  Key* keys = keys_ + local * capacity_;
  if (counts_[local] > pruned_keys()) prune(row);
  sort_keys(keys, counts_[local]);
  counts_[local] = static_cast<std::uint32_t>(std::min<std::uint64_t>(counts_[local], top_k_));
  return {keys, counts_[local]};
}

void Reservoirs::copy_best(std::uint64_t row, std::uint64_t partners_begin, std::uint64_t partners_end,
                           std::vector<Key>& best) const {
  const std::uint64_t local = row - first_row_;
  const std::span<const Key> keys(keys_ + local * capacity_, counts_[local]);
  best.assign(keys.begin(), keys.end());
  if (best.size() > top_k_) {
    std::nth_element(best.begin(), best.begin() + static_cast<std::ptrdiff_t>(top_k_), best.end());
    best.resize(top_k_);
  }
  std::erase_if(best, [&](Key key) { return key_row(key) - partners_begin >= partners_end - partners_begin; });
  sort_keys(best.data(), best.size());
}

void Reservoirs::reset(std::uint64_t first_row, std::uint64_t rows) noexcept {
  first_row_ = first_row;
  rows_ = rows;
  std::memset(counts_, 0, rows * sizeof(std::uint32_t));
}

}  // namespace simtile::topk
