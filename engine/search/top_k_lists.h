// The best keys that one thread of a search has found for each query so far, and the bounds that the threads share.
//
// As topk::Reservoirs, but each query has its own K and the room is used again from search to search.
//
// Threads: a TopKLists belongs to one thread at a time; the bounds are shared by all threads of a search.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <span>
#include <vector>

#include "engine/kernels/tile_kernel.h"
#include "engine/topk/candidate_key.h"

namespace simtile::search {

// What a key of each query must stay below.
class SharedBounds {
 public:
  void clear() noexcept { keys_.clear(); }
  void append(topk::Key initial) { keys_.push_back(initial); }
  topk::Key load(std::size_t query) const noexcept {
    return std::atomic_ref<topk::Key>(const_cast<topk::Key&>(keys_[query])).load(std::memory_order_relaxed);
  }
  void tighten(std::size_t query, topk::Key bound) noexcept {
    std::atomic_ref<topk::Key> shared(keys_[query]);
    topk::Key now = shared.load(std::memory_order_relaxed);
    while (bound < now && !shared.compare_exchange_weak(now, bound, std::memory_order_relaxed)) {
    }
  }

 private:
  std::vector<topk::Key> keys_;
};

class TopKLists {
 public:
  // Empties the lists and takes on queries with these K, each at least 1.
  void reset(std::span<const std::uint64_t> top_k);

  // Keeps the key if it is below the query's bound.
  void insert(std::size_t query, topk::Key key, SharedBounds& bounds, kernels::PruneKeys prune_keys) noexcept {
    if (key >= bounds.load(query)) return;
    List& list = lists_[query];
    keys_[list.begin + list.count++] = key;
    if (list.count == list.capacity) prune(query, bounds, prune_keys);
  }

  // In no order; more than K at times.
  std::span<const topk::Key> keys(std::size_t query) const noexcept {
    return {keys_.data() + lists_[query].begin, static_cast<std::size_t>(lists_[query].count)};
  }

 private:
  struct List {
    std::uint64_t begin, count, capacity, top_k;
  };
  void prune(std::size_t query, SharedBounds& bounds, kernels::PruneKeys prune_keys) noexcept;

  std::vector<List> lists_;
  std::vector<topk::Key> keys_;
};

}  // namespace simtile::search
