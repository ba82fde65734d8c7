#include "engine/search/top_k_lists.h"

namespace simtile::search {

void TopKLists::reset(std::span<const std::uint64_t> top_k) {
  constexpr std::uint64_t kLeastRoom = 16;
  lists_.clear();
  std::uint64_t end = 0;
  for (const std::uint64_t k : top_k) {
    const std::uint64_t capacity = k + std::max(k / 2, kLeastRoom);
    lists_.push_back({end, 0, capacity, k});
    end += capacity;
  }
  if (keys_.size() < end) keys_.resize(static_cast<std::size_t>(end));
}

void TopKLists::prune(std::size_t query, SharedBounds& bounds, kernels::PruneKeys prune_keys) noexcept {
  List& list = lists_[query];
  const std::uint64_t most = list.top_k + (list.capacity - list.top_k) / 8;
  const kernels::Pruned pruned = prune_keys(keys_.data() + list.begin, list.count, list.top_k, most);
  list.count = pruned.count;
  bounds.tighten(query, pruned.bound);
}

}  // namespace simtile::search
