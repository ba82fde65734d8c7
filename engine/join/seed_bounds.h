// Good bounds before the first tile: a screen drops only what the thresholds let it.
//
// Rows are clustered by their first coordinates; each query row is scored, by the definition, against the base rows of
// its own cluster and of those near it. The K-th best of them is a bound that real pairs prove, so it rejects nothing
// that belongs to the answer; the pairs themselves are found again, in their place, by the tiles.
#pragma once

#include <atomic>

#include "engine/join/prepared_job.h"
#include "engine/join/topk_state.h"
#include "engine/memory/lease.h"

namespace simtile::join {

// The job is screened; the query rows below rows_done are final. Stops early when *stop is set.
void seed_bounds(PreparedJob& job, Metric metric, PageBudget& budget, TopKState& state, std::uint64_t rows_done,
                 const std::atomic<bool>* stop);

}  // namespace simtile::join
