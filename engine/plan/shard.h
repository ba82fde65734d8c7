// How a job is shared out among processes: shard i of n does one part of the tiles, and all parts together do each
// tile's pairs once. A pure function of the job's rows, so that shards agree on it whatever budget, threads or
// instruction set each of them has.
//
//   self-join   query rows, cut where the pairs are in equal shares: a part keeps the whole gain of scoring a pair once
//               for both its rows, and finds neighbours for its own rows and for all later ones
//   search      query rows in equal shares; with few queries, which are bound by reading the base, base rows instead
#pragma once

#include "engine/plan/tile_plan.h"
#include "simtile/job.h"

namespace simtile::plan {

// `shape`'s own part is not looked at. 1 <= shard.number <= shard.count; a part may be empty.
Part part_of(const Shapes& shapes, const Shard& shard) noexcept;

}  // namespace simtile::plan
