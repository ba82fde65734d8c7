// What a self-join whose state does not fit in the budget writes aside (join/spill.h): an estimate, stripe by stripe,
// for rows in random order.
#pragma once

#include <cstdint>

#include "engine/plan/tile_plan.h"

namespace simtile::plan {

struct SpillWork {
  double entries_added = 0.0;    // candidates of rows whose turn has not come
  double entries_written = 0.0;  // of them, those whose rows' turn does not come while they are in the buffer
  double entries_merged = 0.0;   // written again as the spill is compacted
};
// Of a plan that spills.
SpillWork spill_work(const Shapes& shapes, const TilePlan& plan);
// All that a plan without the state of all rows writes aside: these, and the rows that are done, which are put by as
// they are.
std::uint64_t spilled_bytes(const Shapes& shapes, const TilePlan& plan);

}  // namespace simtile::plan
