#include "engine/plan/spill_model.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include "engine/plan/memory_model.h"
#include "engine/plan/sample.h"

namespace simtile::plan {
namespace {

// How many of a stripe's rows, on average, are better than a row's bound, of which the best K are kept. `mean` and
// `variance` of those that are better.
double kept_of_stripe(double mean, double variance, double kept) {
  const double deviation = std::sqrt(variance);
  const double room = (kept - mean) / deviation;
  const double density = std::exp(-room * room / 2.0) / std::sqrt(2.0 * std::numbers::pi);
  const double beyond = std::erfc(room / std::numbers::sqrt2) / 2.0;
  return mean - deviation * (density - room * beyond);
}

// Rows' bounds, when a job begins and as it goes on.
class BoundsModel {
 public:
  BoundsModel(const Shapes& shapes, double kept) : kept_(kept) {
    if (shapes.screen.in_use()) {
      shares_let_in_.fill(std::min(1.0, kLetInBySeeds * kept / static_cast<double>(shapes.base_rows)));
      return;
    }
    if (!shapes.sample.in_use()) return;
    const double let_in = expected_rank(shapes) / static_cast<double>(shapes.base_rows);
    const double deviation = 1.0 / std::sqrt(static_cast<double>(shapes.sample.rank));
    for (std::size_t i = 0; i < shares_let_in_.size(); ++i)
      shares_let_in_[i] = let_in * std::max(kLeastOfMean, 1.0 + kNormalQuantiles[i] * deviation);
  }

  // What a stripe finds for a row whose bound is the K-th best of `seen` rows that it has met, or its guess if that is
  // tighter. The number that such a K-th best lets in varies as it does itself.
  double found_by_stripe(double stripe_rows, double seen) const {
    double sum = 0.0;
    for (const double let_in : shares_let_in_) {
      const double mean = stripe_rows * let_in;
      const double mean_of_seen = seen < kept_ ? stripe_rows : stripe_rows * kept_ / seen;
      if (mean <= mean_of_seen && let_in < 1.0)
        sum += kept_of_stripe(mean, mean, kept_);
      else if (seen < kept_)
        sum += std::min(kept_, stripe_rows);
      else
        sum += kept_of_stripe(mean_of_seen, mean_of_seen * (1.0 + mean_of_seen / kept_), kept_);
    }
    return sum / static_cast<double>(shares_let_in_.size());
  }

  // What a row holds that has met `seen` rows.
  double held(double seen) const {
    double sum = 0.0;
    for (const double let_in : shares_let_in_) sum += std::min(kept_, seen * let_in);
    return sum / static_cast<double>(shares_let_in_.size());
  }

 private:
  // A screen's first bounds come of near rows (join/seed_bounds.h). Measured, of Fashion-MNIST.
  static constexpr double kLetInBySeeds = 3.5;
  static constexpr double kLeastOfMean = 0.02;  // a normal distribution has a tail below zero
  // Of the middles of equal parts of the normal distribution. A guess, the r-th best of a sample, lets in what varies
  // by about a share of 1 / sqrt(r).
  static constexpr std::array kNormalQuantiles{-1.3830, -0.6745, -0.2104, 0.2104, 0.6745, 1.3830};
  double kept_;
  std::array<double, kNormalQuantiles.size()> shares_let_in_{1.0, 1.0, 1.0, 1.0, 1.0, 1.0};
};

}  // namespace

SpillWork spill_work(const Shapes& shapes, const TilePlan& plan) {
  constexpr double kMostSteps = 4096.0;
  constexpr auto kFanIn = static_cast<double>(kSpillFanIn);
  const auto kept = static_cast<double>(plan.kept);
  const auto buffer = static_cast<double>(spill_buffer_entries(plan.spill_bytes));
  const auto end = static_cast<double>(shapes.query_end() - shapes.query_begin());
  const auto rows = static_cast<double>(shapes.found_rows());
  const double step = std::max(static_cast<double>(plan.stripe_rows), std::ceil(end / kMostSteps));

  const BoundsModel bounds(shapes, kept);
  SpillWork work;
  double buffered = 0.0;
  double runs = 0.0;
  // Bounds move when runs are merged: this share of the rows has met all done then, the others a stripe less.
  double share = 1.0;
  double seen = 0.0;
  double seen_by_others = 0.0;
  for (double done = 0.0; done < end; done += step) {
    const double stripe = std::min(step, end - done);
    const double later = rows - done - stripe;
    const double found = later * (share * bounds.found_by_stripe(stripe, seen) +
                                  (1.0 - share) * bounds.found_by_stripe(stripe, seen_by_others));
    work.entries_added += found;
    const double full = std::floor((buffered + found) / buffer);
    if (done == 0.0) seen = seen_by_others = stripe;  // the K-th best of a tile is a bound too
    // When there are kSpillFanIn runs they are merged into one.
    for (double written = kFanIn - runs; written <= full; written += kFanIn - 1.0) {
      share = std::min(1.0, (written * buffer - buffered) / found);
      work.entries_merged += later * (share * bounds.held(done + stripe) + (1.0 - share) * bounds.held(done));
      seen = done + stripe;
      seen_by_others = std::max(done, stripe);
      runs -= kFanIn - 1.0;
    }
    runs += full;
    work.entries_written += full * buffer;
    buffered += found - full * buffer;
    if (later > 0.0) buffered *= 1.0 - std::min(step, later) / later;  // the next stripe's are taken from the buffer
  }
  return work;
}

std::uint64_t spilled_bytes(const Shapes& shapes, const TilePlan& plan) {
  const SpillWork work = spills(shapes, plan) ? spill_work(shapes, plan) : SpillWork{};
  const auto done = static_cast<double>(shapes.query_end() - shapes.query_begin()) * static_cast<double>(plan.kept);
  return static_cast<std::uint64_t>((work.entries_written + work.entries_merged + done) *
                                    static_cast<double>(kSpillEntryBytes));
}

}  // namespace simtile::plan
