#include "engine/plan/spill_model.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "engine/plan/memory_model.h"
#include "engine/plan/sample.h"

namespace simtile::plan {
namespace {

// Of a stripe's rows so many, on average, are better than a row's bound, and the best K of them are kept. The bound is
// the K-th best of `seen` rows that the row has met; their number varies as the bound does, by about sqrt(m (1 + m /
// K)).
double found_by_stripe(double stripe_rows, double seen, double kept) {
  if (seen < kept) return std::min(kept, stripe_rows);
  const double mean = kept * stripe_rows / seen;
  const double deviation = std::sqrt(mean * (1.0 + mean / kept));
  const double room = (kept - mean) / deviation;
  const double density = std::exp(-room * room / 2.0) / std::sqrt(2.0 * std::numbers::pi);
  const double beyond = std::erfc(room / std::numbers::sqrt2) / 2.0;
  return mean - deviation * (density - room * beyond);
}

}  // namespace

SpillWork spill_work(const Shapes& shapes, const TilePlan& plan) {
  constexpr double kMostSteps = 4096.0;
  const auto kept = static_cast<double>(plan.kept);
  const auto buffer = static_cast<double>(spill_buffer_entries(plan.spill_bytes));
  const auto end = static_cast<double>(shapes.query_end() - shapes.query_begin());
  const auto rows = static_cast<double>(shapes.found_rows());
  const double step = std::max(static_cast<double>(plan.stripe_rows), std::ceil(end / kMostSteps));

  SpillWork work;
  // A guessed bound is as good as one of rows that were met, and lets in so many of those that will be.
  // Measured, a fifth fewer: where a row's bound is the tighter one by chance, it stays.
  constexpr double kLetIn = 0.8;
  const double let_in = shapes.sample.in_use() ? kLetIn * expected_rank(shapes) : rows;
  const double guessed = shapes.sample.in_use() ? kept * rows / let_in : 0.0;

  double buffered = 0.0;
  double runs = 0.0;
  // Bounds move when runs are merged: this share of the rows has met all done then, the others a stripe less.
  double share = 1.0;
  double seen = 0.0;
  double seen_by_others = 0.0;
  for (double done = 0.0; done < end; done += step) {
    const double stripe = std::min(step, end - done);
    const double later = rows - done - stripe;
    const double found = later * (share * found_by_stripe(stripe, std::max(seen, guessed), kept) +
                                  (1.0 - share) * found_by_stripe(stripe, std::max(seen_by_others, guessed), kept));
    work.entries_added += found;
    const double full = std::floor((buffered + found) / buffer);
    // Runs are merged when there are kSpillFanIn of them, into one.
    const double first_merge = static_cast<double>(kSpillFanIn) - runs;
    constexpr auto kRunsOfAMerge = static_cast<double>(kSpillFanIn - 1);
    const double merges = full < first_merge ? 0.0 : 1.0 + std::floor((full - first_merge) / kRunsOfAMerge);
    const double runs_of_last_merge = first_merge + (merges - 1.0) * kRunsOfAMerge;
    runs = merges == 0.0 ? runs + full : 1.0 + full - runs_of_last_merge;
    if (merges > 0.0) {
      share = std::min(1.0, (runs_of_last_merge * buffer - buffered) / found);
      const double held = std::min(kept, (done + stripe) * let_in / rows);
      work.entries_merged += merges * later * held * (done == 0.0 ? share : 1.0);
      seen = done + stripe;
      seen_by_others = done == 0.0 ? stripe : done;
    } else if (done == 0.0) {
      seen = stripe;  // the K-th best of a tile is a bound too
    }
    buffered += found - full * buffer;
  }
  return work;
}

std::uint64_t spilled_bytes(const Shapes& shapes, const TilePlan& plan) {
  const SpillWork work = spill_work(shapes, plan);
  const auto done = static_cast<double>(shapes.query_end() - shapes.query_begin()) * static_cast<double>(plan.kept);
  return static_cast<std::uint64_t>((work.entries_added + work.entries_merged + done) *
                                    static_cast<double>(kSpillEntryBytes));
}

}  // namespace simtile::plan
