// A random sample of the base rows tells, before the first tile, about how good each row's K-th best will be
// (join/guessed_bounds.h): how many rows that takes, and which of a row's best among them is taken for a bound.
//
// A row's bound is its r-th best in the sample. It is too tight when r or more of the row's best K are in the sample,
// and r is such that this happens to one row in a million at most, whatever the data: only the sample is random.
#pragma once

#include <cstdint>

#include "engine/plan/tile_plan.h"

namespace simtile::plan {

// The sample that saves this job most, by the pairs that it costs and those that its bounds reject; none where none
// would.
Sample choose_sample(const Shapes& shapes) noexcept;

// Scores that enter a row's best `kept`, when all come in random order and those behind the best `let_in` of them are
// rejected: the n-th enters with probability kept / n.
double arrivals(double kept, double let_in) noexcept;

// Base rows that are as good as a row's bound, on average: its place in the sample, scaled.
double expected_rank(const Shapes& shapes) noexcept;

// The search for the best `rank` rows of the sample for each query row from first_query_row on; in a self-join for one
// more, which may be the row itself. `shapes` are not screened.
Shapes sample_search(const Shapes& shapes, std::uint64_t first_query_row);
TilePlan plan_sample_search(const Shapes& search, std::uint64_t budget_bytes);

}  // namespace simtile::plan
