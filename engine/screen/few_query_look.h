// A first look at the pairs of a few queries and base rows where they lie: which of them the definition need not score.
//
// A search of few queries is bound by how fast base rows come from memory, if its arithmetic keeps up. The definition's
// chain takes one dimension after another, so that a vector holds a value of several queries: with one query, most of
// it is idle. A sum in any order fills it with dimensions, of rows in whatever type they are stored in. It is off by
// its rounding, so it tells bounds, and the definition scores the pairs whose bound passes.
//
// For a query x and a base row y = f s, s as stored and f what its values are multiplied by (an i8 row's scale, a
// cosine's inverse norm), of D dimensions, with u = 2^-24 and g(n) = n u / (1 - n u) (Higham, Accuracy and Stability
// of Numerical Algorithms, 3.1), p the sum for x.s as computed and n that for |s|:
//   the definition's score       <= x.y + g(D) |x| |y|
//   x.y                          <= f p + g(D + 16) |x| |y|
//   values rounded when scaled   at most 4 u |x| |y|
//   n                            at least |s| (1 - g(D + 16))
// so that  score <= f p + slack |x| f n, with the slack of ScreenMargin::of_whole_rows: g(D + 16) + 2 g(D + 64) + 16 u
// and 5% more, of which this computation's own few roundings take the rest. Where n is no more than a bound on |s| (a
// score that is a product needs none better), all of it holds as well.
// Rows of i8 and u8 meet queries of 16-bit integers: x is rounded to w = unit times integers, and x.y <= w.y + e |y|,
// where e = |x - w| is measured, in binary64, and taken 1% larger for what rounding does to w instead of x.
// l2 is |x|^2 + |y|^2 - 2 x.y, whose terms are off by less than slack (|x|^2 + |y|^2) together, and 2 e |y|; the
// definition's own sum has positive terms alone, so that it is off by at most g(D + 2) of itself. Pairs of rows whose
// norms ScreenMargin does not take always pass, but for base rows shorter than that where the score is a product: then
// it is at most |x| f times the smallest norm.
//
// Threads: set_queries() from one thread; afterwards score() may be called from many at once, each with its own room.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "engine/kernels/stored_rows.h"
#include "engine/screen/screen_margin.h"

namespace simtile::screen {

class FewQueryLook {
 public:
  // Base rows looked at together, at most: their number fits beside a query's in a pair number.
  static constexpr std::uint64_t kMostRows = 1024;

  explicit FewQueryLook(const kernels::TileKernel& kernel) : kernel_(&kernel) {}

  // `rows`: `count` rows of dims, as the metric takes them (for a cosine of norm one). `integer_rows` is room for as
  // many values, where base rows will be i8 or u8, else may be null. Both must outlive their use.
  void set_queries(Metric metric, const float* rows, std::size_t count, std::uint64_t dims, std::int16_t* integer_rows);

  struct BaseRows {
    const std::byte* stored;
    std::size_t stride_bytes;
    ElementType type;
    const double* factors;  // what a row's stored values are multiplied by
    std::uint32_t count;    // at most kMostRows
  };
  // Appends the pairs, numbered from `first_pair` as a strip's are, whose score is at least as good as their query's
  // threshold, with that score; decode(base row, values) gives a row as the metric takes it. `room` is
  // plan::few_query_room_floats, and the list has room for all pairs. Returns how many the definition scored.
  template <typename Decode>
  std::uint32_t score(const BaseRows& bases, const float* thresholds, std::uint32_t first_pair, Decode decode,
                      float* room, kernels::Survivors& survivors) const {
    std::uint32_t* pairs = survivors.pairs + survivors.count;
    const std::uint32_t count = find(bases, thresholds, room, pairs);
    float* decoded = room + (queries_.size() + 2) * bases.count;
    // Of the rows that are decoded, one after the other.
    std::uint16_t row_at[kMostRows];
    std::uint16_t place_of[kMostRows];
    std::fill_n(place_of, bases.count, kNowhere);
    std::uint16_t rows = 0;
    for (std::uint32_t i = 0; i < count; ++i) {
      const std::uint32_t row = pairs[i] & kernels::kColumnMask;
      if (place_of[row] == kNowhere) {
        decode(row, decoded + std::size_t{rows} * dims_);
        row_at[rows] = static_cast<std::uint16_t>(row);
        place_of[row] = rows++;
      }
      pairs[i] += place_of[row] - row;
    }
    score_by_definition(decoded, thresholds, row_at, count, first_pair, survivors);
    return count;
  }

 private:
  static constexpr std::uint16_t kNowhere = UINT16_MAX;

  // The pairs, (query << kQueryShift) + base row, whose score may be at least as good as their query's threshold.
  std::uint32_t find(const BaseRows& bases, const float* thresholds, float* room, std::uint32_t* pairs) const noexcept;
  void score_by_definition(const float* decoded, const float* thresholds, const std::uint16_t* row_at,
                           std::uint32_t count, std::uint32_t first_pair, kernels::Survivors& survivors) const noexcept;

  struct Query {
    float norm;      // not a number where the margin does not take it
    float unit;      // of its integers
    float rounding;  // at least the norm of what they leave out
  };
  static void round_to_integers(const float* row, std::size_t dims, Query& query, std::int16_t* integers) noexcept;
  void bound_norms(const BaseRows& bases, float* factors, float* norms) const noexcept;

  const kernels::TileKernel* kernel_;
  Metric metric_ = Metric::kCosine;
  const float* rows_ = nullptr;
  const std::int16_t* integer_rows_ = nullptr;
  std::uint32_t dims_ = 0;
  float slack_ = 0.0f;
  std::vector<Query> queries_;
};

}  // namespace simtile::screen
