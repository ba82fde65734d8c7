#include "engine/plan/shard.h"

namespace simtile::plan {
namespace {

// total * numerator / denominator, rounded down, for numerator <= denominator < 2^32.
std::uint64_t share(std::uint64_t total, std::uint64_t numerator, std::uint64_t denominator) noexcept {
  return total / denominator * numerator + total % denominator * numerator / denominator;
}

// The first row before which the self-join scores at least `pairs` pairs.
std::uint64_t row_after_pairs(const Shapes& shapes, std::uint64_t pairs) noexcept {
  std::uint64_t low = 0;
  std::uint64_t high = shapes.query_rows;
  while (low < high) {
    const std::uint64_t middle = low + (high - low) / 2;
    if (distinct_pairs_of_rows(shapes, 0, middle) < pairs)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

// The last shard also takes the rows that score no pairs: there is one, the last.
std::uint64_t first_row_of(const Shapes& shapes, std::uint64_t number, std::uint64_t count) noexcept {
  if (number > count) return shapes.query_rows;
  if (!shapes.self_join) return share(shapes.query_rows, number - 1, count);
  return row_after_pairs(shapes, share(distinct_pairs_of_rows(shapes, 0, shapes.query_rows), number - 1, count));
}

}  // namespace

Part part_of(const Shapes& shapes, const Shard& shard) noexcept {
  Part part;
  if (shapes.few_queries) {
    part.base_begin = share(shapes.base_rows, shard.number - 1, shard.count);
    part.base_end = share(shapes.base_rows, shard.number, shard.count);
    if (part.base_begin == part.base_end) part.query_end = 0;
    return part;
  }
  part.query_begin = first_row_of(shapes, shard.number, shard.count);
  part.query_end = first_row_of(shapes, shard.number + 1, shard.count);
  return part;
}

}  // namespace simtile::plan
