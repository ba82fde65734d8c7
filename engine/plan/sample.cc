#include "engine/plan/sample.h"

#include <algorithm>
#include <cmath>

#include "engine/base/checked.h"
#include "engine/storage/matrix_layout.h"

namespace simtile::plan {
namespace {

constexpr std::uint64_t kFewestBaseRows = 8192;
constexpr std::uint64_t kFewestQueryRows = 1024;
constexpr std::uint64_t kFewestSampled = 256;
constexpr double kTooTight = 1e-6;
// Of the pairs that a job without a sample would score: less is not worth the trouble.
constexpr double kLeastSaving = 0.02;
// Before a first look, so many base rows for each neighbour that is wanted are scored directly: of a job
// (join/tile_scorer_rounded.cc), and of the search in a sample, whose first tile they are.
constexpr double kScoredDirectly = 20.0;
constexpr std::uint64_t kSampledScoredDirectly = 12;
// Otherwise the first tile of that search lets so many in.
constexpr std::uint64_t kSampledLetIn = 4;
constexpr std::uint64_t kFewestTileColumns = 32;

// In pairs of the job's own way to score them: what one costs that survives, and one that is scored directly.
struct PairCosts {
  double survivor, direct;
};
PairCosts pair_costs(const Shapes& shapes) noexcept {
  if (!shapes.plans_a_look()) return {8.0, 0.0};
  return {9.1 * shapes.look_speedup, shapes.look_speedup};
}

// The least r for which r or more of `kept` marked rows are among `sampled` of `rows` with a probability of kTooTight
// at most: by the binomial distribution, whose tail is the heavier one this far above the mean. None where a sum of its
// terms would begin too near zero to be exact.
std::uint64_t safe_rank(std::uint64_t sampled, std::uint64_t rows, std::uint64_t kept) noexcept {
  const double p = static_cast<double>(kept) / static_cast<double>(rows);
  const auto n = static_cast<double>(sampled);
  constexpr double kLeastLogarithm = -600.0;
  const double logarithm = n * std::log1p(-p);
  if (logarithm < kLeastLogarithm) return sampled;
  double probability = std::exp(logarithm);  // of none
  double tail = 1.0;
  std::uint64_t rank = 0;
  while (tail > kTooTight && rank < sampled) {
    tail -= probability;
    const auto found = static_cast<double>(rank++);
    probability *= (n - found) / (found + 1.0) * p / (1.0 - p);
  }
  return rank;
}

double cost_of_row(const Shapes& shapes, double kept, const Sample& sample) noexcept {
  const PairCosts costs = pair_costs(shapes);
  const auto base_rows = static_cast<double>(shapes.base_rows);
  if (!sample.in_use()) return costs.survivor * arrivals(kept, base_rows) + costs.direct * kScoredDirectly * kept;
  const auto sampled = static_cast<double>(sample.rows);
  const auto rank = static_cast<double>(sample.rank);
  const double bound = rank * base_rows / sampled;
  const double direct =
      shapes.plans_a_look() ? std::min(sampled, static_cast<double>(kSampledScoredDirectly) * rank) : 0.0;
  return sampled + costs.direct * direct + costs.survivor * arrivals(rank, sampled * rank / std::max(rank, direct)) +
         costs.survivor * arrivals(kept, bound);
}

bool may_sample(const Shapes& shapes) noexcept {
  return !shapes.all_pairs && !shapes.few_queries && !shapes.screen.in_use() && shapes.part.is_all() &&
         shapes.base_rows >= kFewestBaseRows && shapes.query_rows >= kFewestQueryRows;
}

RowShape sampled_row(const RowShape& row, std::uint64_t dims, bool sparse, std::uint64_t sampled) noexcept {
  RowShape shape = row;
  shape.bytes_beside = 0;  // written as they are scored
  if (!sparse) shape.bytes_on_average = shape.most_bytes = round_up(dims * sizeof(float), storage::kRowAlignment);
  if (multiply_overflows(sampled, shape.most_bytes, &shape.total_bytes) || sparse)
    shape.total_bytes = std::min(row.total_bytes, shape.total_bytes);
  return shape;
}

}  // namespace

double arrivals(double kept, double let_in) noexcept { return kept * (1.0 + std::log(std::max(1.0, let_in / kept))); }

Sample choose_sample(const Shapes& shapes) noexcept {
  if (!may_sample(shapes)) return {};
  const std::uint64_t kept = kept_neighbours(shapes);
  if (kept > shapes.base_rows / 16) return {};
  const auto wanted = static_cast<double>(kept);
  const double pairs = static_cast<double>(shapes.base_rows) * (shapes.self_join ? 0.5 : 1.0);
  const double without = cost_of_row(shapes, wanted, {});
  double least = without - kLeastSaving * (pairs + without);
  Sample best;
  for (std::uint64_t rows = shapes.base_rows / 4; rows >= kFewestSampled; rows /= 2) {
    const Sample sample{rows, safe_rank(rows, shapes.base_rows, kept)};
    if (sample.rank > rows / 4) continue;
    const double cost = cost_of_row(shapes, wanted, sample);
    if (cost >= least) continue;
    least = cost;
    best = sample;
  }
  return best;
}

double expected_rank(const Shapes& shapes) noexcept {
  return static_cast<double>(shapes.sample.rank) * static_cast<double>(shapes.base_rows) /
         static_cast<double>(shapes.sample.rows);
}

Shapes sample_search(const Shapes& shapes, std::uint64_t first_query_row) {
  constexpr std::uint64_t kBlockBytes = 64 << 10, kBytesOfABlock = 16;
  Shapes search = shapes;
  search.sample = {};
  search.self_join = false;
  search.pairs = PairScoring::kAuto;
  search.base_rows = shapes.sample.rows;
  search.top_k = shapes.sample.rank + (shapes.self_join ? 1 : 0);
  search.part.query_begin = first_query_row;
  search.base = sampled_row(shapes.base, shapes.dims, shapes.sparse, search.base_rows);
  if (shapes.by_fields()) search.base = {};
  for (FieldShape& field : search.fields) {
    field.base = sampled_row(field.base, field.dims, field.sparse, search.base_rows);
    search.base += field.base;
  }
  // The list of the sampled rows, and checksum tables.
  search.fixed_bytes = search.base_rows * sizeof(std::uint64_t) +
                       search.base.total_bytes / kBlockBytes * kBytesOfABlock +
                       kBlockBytes * (1 + search.fields.size());
  return search;
}

TilePlan plan_sample_search(const Shapes& search, std::uint64_t budget_bytes) {
  TilePlan plan = make_plan(search, budget_bytes);
  // The first tile of a stripe lets everything in, or is scored directly: it need not be the whole sample. Sparse rows
  // and fields are met once for each tile, at a price.
  if (search.plans_a_look() || !(search.sparse || search.by_fields())) {
    const std::uint64_t first = search.top_k * (search.plans_a_look() ? kSampledScoredDirectly : kSampledLetIn);
    plan.tile_columns = std::min(plan.tile_columns, round_up(std::max(first, kFewestTileColumns), search.base_width));
  }
  return plan;
}

}  // namespace simtile::plan
