#include "engine/topk/sort_keys.h"

#include <hwy/contrib/sort/vqsort.h>

#include <algorithm>

namespace simtile::topk {

void sort_keys(Key* keys, std::size_t count) {
  // Rows are sorted again when a checkpoint or the answer wants them.
  if (std::is_sorted(keys, keys + count)) return;
  // Below this, setting the vectorised sort up takes longer than sorting.
  constexpr std::size_t kWorthVectors = 32;
  if (count < kWorthVectors) {
    std::sort(keys, keys + count);
    return;
  }
  thread_local const hwy::Sorter sorter;
  sorter(keys, count, hwy::SortAscending());
}

}  // namespace simtile::topk
