#include "engine/topk/reservoirs.h"

#include <algorithm>
#include <cstring>

namespace simtile::topk {

Bounds::Bounds(PageBudget& budget, std::uint64_t rows, Key initial)
    : memory_(budget, rows * sizeof(Key)), keys_(memory_.as<Key>()) {
  std::fill_n(keys_, rows, initial);
}

Reservoirs::Reservoirs(PageBudget& budget, Bounds& bounds, kernels::SelectSmallest select, std::uint64_t first_row,
                       std::uint64_t rows, std::uint64_t top_k, std::uint64_t capacity)
    : bounds_(&bounds),
      select_(select),
      first_row_(first_row),
      rows_(rows),
      top_k_(top_k),
      capacity_(capacity),
      key_memory_(budget, (rows * capacity + kernels::kSelectSlack) * sizeof(Key)),
      count_memory_(budget, rows * sizeof(std::uint32_t)),
      keys_(key_memory_.as<Key>()),
      counts_(count_memory_.as<std::uint32_t>()) {}

void Reservoirs::prune(std::uint64_t row) noexcept {
  const std::uint64_t local = row - first_row_;
  Key* keys = keys_ + local * capacity_;
  const std::size_t count = counts_[local];
  if (count + kernels::kSelectSlack <= kScratchKeys) {
    Key scratch[kScratchKeys];
    select_(keys, count, top_k_, scratch);
  } else {
    std::nth_element(keys, keys + top_k_, keys + count);
  }
  counts_[local] = static_cast<std::uint32_t>(top_k_);
  bounds_->store(row, std::min(*std::max_element(keys, keys + top_k_), bounds_->load(row)));
}

std::span<const Key> Reservoirs::sorted(std::uint64_t row) noexcept {
  const std::uint64_t local = row - first_row_;
  if (counts_[local] > top_k_) prune(row);
  Key* keys = keys_ + local * capacity_;
  std::sort(keys, keys + counts_[local]);
  return {keys, counts_[local]};
}

void Reservoirs::reset(std::uint64_t first_row, std::uint64_t rows) noexcept {
  first_row_ = first_row;
  rows_ = rows;
  std::memset(counts_, 0, rows * sizeof(std::uint32_t));
}

}  // namespace simtile::topk
