#include "engine/plan/tile_plan.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>

#include "engine/base/checked.h"
#include "engine/memory/lease.h"
#include "engine/plan/field_memory.h"
#include "engine/plan/memory_model.h"
#include "engine/plan/sample.h"
#include "engine/plan/spill_model.h"
#include "engine/topk/candidate_key.h"
#include "simtile/byte_size.h"
#include "simtile/error.h"

namespace simtile::plan {
namespace {

// A packed tile should stay in half of a 1 MiB second-level cache while the stripe streams past it.
constexpr std::uint64_t kTileBytes = 512 << 10;
constexpr std::uint64_t kMaxTileColumns = 2048;
// Where blocks may end at stops (ScreenShape), most do, and more of them in wider tiles: a quarter or so is near.
constexpr std::uint64_t kShareNear = 4;
// With few queries, base rows pass once: a tile is as large as a window is cheap to map.
constexpr std::uint64_t kFewQueriesWindowBytes = 2 << 20;
// Beyond this many rows a stripe gains little: packing a base row is lost among its scores, and the panels leave the
// second-level cache.
constexpr std::uint64_t kPreferredStripeRows = 2048;
constexpr std::uint64_t kMostCheapStripeRows = 8192;
// Where pairs are cheap, many base rows are made ready too often in stripes of fewer rows than this, in a job of so few
// multiplications that it is over in some ten seconds.
constexpr std::uint64_t kFewestCheapStripeRows = 4096;
constexpr std::uint64_t kManyBaseRows = 16384;
constexpr double kSoonOver = 2e13;
// When the state does not fit, each stripe reads the rest of the base again: larger stripes read less. Where pairs are
// cheap they do not pay: more pairs meet rows that have no bound yet.
constexpr std::uint64_t kLargestStripeRows = 16384;
constexpr std::uint64_t kSmallestStripeRows = 64;
// Of fewer, making base rows ready weighs as much as scoring them.
constexpr std::uint64_t kLeastGoodStripeRows = 512;
// So many stripes, where there are rows enough, keep resumption fine-grained and the last tiles small.
constexpr std::uint64_t kWantedStripes = 12;

void check_shapes(const Shapes& shapes) {
  if (shapes.top_k == 0 && !shapes.all_pairs)
    throw Error(ErrorCode::kInvalidArgument, "top-k is 0; ask for at least one neighbour");
  if (std::max(shapes.query_rows, shapes.base_rows) >= topk::kMaxRows)
    throw Error(ErrorCode::kInvalidArgument,
                "a job takes at most 4294967294 rows on each side; split the matrix and merge the results");
}

// Room spreads a selection over more arrivals, but lets more of them in: the bound moves only with a selection.
std::uint64_t preferred_capacity(std::uint64_t kept) { return kept + std::clamp<std::uint64_t>(kept / 2, 14, 256); }
std::uint64_t least_capacity(std::uint64_t kept) { return kept + std::clamp<std::uint64_t>(kept / 8, 8, 64); }

// A guessed bound rejects all but the best.
double arrivals_of_row(const Shapes& shapes, std::uint64_t kept) {
  const auto others = static_cast<double>(shapes.self_join ? shapes.base_rows - 1 : shapes.base_rows);
  const double let_in = shapes.sample.in_use() ? std::min(others, expected_rank(shapes)) : others;
  return arrivals(static_cast<double>(kept), let_in);
}

// Of a base row, what every query row meets. Of a screened tile, and of one with a first look, that is the bounds'
// coordinates: few of the rows themselves are looked at.
std::uint64_t near_row_bytes(const Shapes& shapes) {
  if (shapes.sparse) return shapes.base.bytes_on_average;
  if (shapes.screen.in_use()) {
    const std::uint64_t bytes = shapes.screen.kept_dims() * sizeof(float);
    return shapes.screen.stops == 0 ? bytes : bytes / kShareNear;
  }
  if (shapes.plans_a_look()) return shapes.rounded_floats * sizeof(float);
  return shapes.dims * sizeof(float);
}

std::uint64_t preferred_columns(const Shapes& shapes) {
  if (shapes.by_fields()) return field_tile_columns(shapes);
  if (shapes.few_queries)
    return std::min(shapes.base_rows, std::clamp<std::uint64_t>(kFewQueriesWindowBytes / shapes.base.bytes_on_average,
                                                                shapes.base_width, 16 * kMaxTileColumns));
  const std::uint64_t fitting = kTileBytes / std::max<std::uint64_t>(1, near_row_bytes(shapes));
  const std::uint64_t all = round_up(shapes.base_rows, shapes.base_width);
  const std::uint64_t columns = round_down(fitting, shapes.base_width);
  // Two panels at least, so that a query panel is used twice for each time it is loaded.
  return std::min(
      all, std::clamp(columns, std::uint64_t{2} * shapes.base_width, round_down(kMaxTileColumns, shapes.base_width)));
}

// A screen, or a first look, leaves so little arithmetic to a base row that making it ready weighs more.
bool has_cheap_pairs(const Shapes& shapes) { return shapes.screen.in_use() || shapes.plans_a_look(); }

// Rather few stripes than base rows that are made ready too often; but a long job keeps its stripes, at whose ends it
// goes on after it was killed.
bool prefers_few_stripes(const Shapes& shapes) {
  const double pairs = static_cast<double>(shapes.query_rows) * static_cast<double>(shapes.base_rows);
  return has_cheap_pairs(shapes) && shapes.base_rows >= kManyBaseRows &&
         pairs * static_cast<double>(shapes.product_dims()) <= kSoonOver;
}

std::uint64_t stripe_rows_up_to(const Shapes& shapes, std::uint64_t most) {
  const std::uint64_t rows = std::max<std::uint64_t>(1, shapes.query_end() - shapes.query_begin());
  std::uint64_t stripes = kWantedStripes;
  if (prefers_few_stripes(shapes)) stripes = std::clamp<std::uint64_t>(rows / kFewestCheapStripeRows, 1, stripes);
  const std::uint64_t wanted = std::clamp(divide_up(rows, stripes), kLeastGoodStripeRows, most);
  return round_up(std::min(wanted, rows), shapes.query_width);
}

std::uint64_t preferred_stripe_rows(const Shapes& shapes) {
  return stripe_rows_up_to(shapes, has_cheap_pairs(shapes) ? kMostCheapStripeRows : kPreferredStripeRows);
}

// Fills in stripe_rows with the most, up to `most`, that fits; false when not even the least does.
bool fit_stripe(const Shapes& shapes, std::uint64_t budget, std::uint64_t most, TilePlan& plan) {
  const std::uint64_t least = round_up(std::min(kSmallestStripeRows, shapes.query_rows), shapes.query_width);
  std::uint64_t low = least;
  std::uint64_t high = std::max(most, least);
  plan.stripe_rows = low;
  if (planned_bytes(shapes, plan) > budget) return false;
  while (low < high) {  // the largest multiple of query_width in [low, high] that fits
    const std::uint64_t middle = low + round_up((high - low + 1) / 2, shapes.query_width);
    plan.stripe_rows = std::min(middle, high);
    if (planned_bytes(shapes, plan) <= budget)
      low = plan.stripe_rows;
    else
      high = plan.stripe_rows - shapes.query_width;
  }
  plan.stripe_rows = low;
  return true;
}

// No state but a buffer: as much of the stripe as fits, then smaller tiles.
bool find_all_pairs_plan(const Shapes& shapes, std::uint64_t budget, TilePlan& plan) {
  const std::uint64_t stripe = preferred_stripe_rows(shapes);
  plan.resident = true;
  plan.tiles_in_flight = shapes.threads + 1;
  plan.tile_columns = preferred_columns(shapes);
  for (const std::uint64_t spill : kPairStoreBytes) {
    plan.spill_bytes = spill;
    if (fit_stripe(shapes, budget, stripe, plan) && plan.stripe_rows >= std::min(stripe, kLeastGoodStripeRows))
      return true;
  }
  for (;; plan.tile_columns -= shapes.base_width) {
    if (fit_stripe(shapes, budget, stripe, plan)) return true;
    if (plan.tile_columns <= shapes.base_width) return false;
  }
}

std::uint64_t panel_row_bytes(const Shapes& shapes) {
  return (shapes.plans_a_look() ? shapes.rounded_floats : shapes.product_dims()) * sizeof(float);
}

// However few they are, a pair's score has to be compared.
std::uint64_t multiplications_of_pair(const Shapes& shapes) {
  constexpr std::uint64_t kThatAComparisonTakes = 10;
  return kThatAComparisonTakes + (shapes.screen.in_use() ? shapes.screen.panel_dims() : shapes.product_dims());
}

// What a plan costs beside the arithmetic that every plan has, in seconds of one thread: base rows made ready again for
// each stripe, query panels read again for each tile, selections, candidates that go to disk and back, and pairs that
// are scored a second time. Measured: docs/benchmarks.md, "Larger than memory".
double overhead_seconds(const Shapes& shapes, const TilePlan& plan) {
  constexpr double kSecondsPerMultiplication = 0.05e-9;
  constexpr double kSecondsPerLoadedByte = 0.8e-9;
  constexpr double kSecondsPerPanelByte = 0.05e-9;
  constexpr double kSecondsPerSelectedKey = 4e-9;
  constexpr double kSecondsPerSpilledEntry = 100e-9;
  const auto stripes = static_cast<double>(divide_up(shapes.query_end() - shapes.query_begin(), plan.stripe_rows));
  const auto base_rows = static_cast<double>(shapes.base_end() - shapes.base_begin());
  const double loaded_rows = base_rows * (meets_later_rows_alone(shapes, plan) ? (stripes + 1.0) / 2.0 : stripes);
  const double panel_rows =
      loaded_rows * static_cast<double>(plan.stripe_rows) / static_cast<double>(plan.tile_columns);
  const double arrivals = static_cast<double>(shapes.found_rows()) * arrivals_of_row(shapes, plan.kept);
  const double keys_selected = arrivals * static_cast<double>(plan.reservoir_capacity) /
                               static_cast<double>(plan.reservoir_capacity - plan.kept);
  const SpillWork spilled = spills(shapes, plan) ? spill_work(shapes, plan) : SpillWork{};
  const double speedup = shapes.plans_a_look() ? shapes.look_speedup : 1.0;
  const double second_time =
      plan.scores_twice
          ? static_cast<double>(distinct_pairs_of_rows(shapes, shapes.query_begin(), shapes.query_end())) *
                static_cast<double>(multiplications_of_pair(shapes)) / speedup
          : 0.0;
  return kSecondsPerLoadedByte * loaded_rows * static_cast<double>(streamed_row_bytes(shapes)) +
         kSecondsPerPanelByte * panel_rows * static_cast<double>(panel_row_bytes(shapes)) +
         kSecondsPerSelectedKey * keys_selected + kSecondsPerMultiplication * second_time +
         kSecondsPerSpilledEntry * (spilled.entries_added + spilled.entries_merged);
}

// Sparse rows take far longer to score than they are long. A shard's other rows are for others to find.
bool may_score_twice(const Shapes& shapes) {
  if (shapes.pairs == PairScoring::kAuto) return !shapes.sparse && shapes.part.is_all();
  return shapes.pairs == PairScoring::kTwice;
}

// Base rows that the stripe from this row on meets.
std::uint64_t columns_of_stripe(const Shapes& shapes, const TilePlan& plan, std::uint64_t first_row) noexcept {
  return meets_later_rows_alone(shapes, plan) ? shapes.base_rows - first_row : shapes.base_end() - shapes.base_begin();
}

std::uint64_t narrower_columns(const Shapes& shapes, std::uint64_t columns) {
  return std::max<std::uint64_t>(shapes.base_width, round_down(columns / kShareNear, shapes.base_width));
}

// The plan with the whole state in memory and stripes of the preferred size, or else, of those that fit, the one with
// the least overhead.
bool find_plan(const Shapes& shapes, std::uint64_t budget, TilePlan& plan) {
  plan.kept = kept_neighbours(shapes);
  if (shapes.all_pairs) return find_all_pairs_plan(shapes, budget, plan);
  const std::uint64_t stripe = preferred_stripe_rows(shapes);
  const std::uint64_t largest =
      stripe_rows_up_to(shapes, has_cheap_pairs(shapes) ? kMostCheapStripeRows : kLargestStripeRows);
  // A search has nothing to gain by holding less: it would only meet the base in fewer, larger turns.
  const std::uint64_t good_enough = shapes.self_join ? stripe : std::min(stripe, kLeastGoodStripeRows);
  std::optional<double> least_seconds;
  const auto consider = [&](TilePlan candidate, std::uint64_t most_rows) {
    if (!fit_stripe(shapes, budget, most_rows, candidate)) return;
    const double seconds = overhead_seconds(shapes, candidate);
    if (least_seconds && seconds >= *least_seconds) return;
    least_seconds = seconds;
    plan = candidate;
  };

  TilePlan candidate = plan;
  const auto consider_without_state = [&] {
    candidate.resident = false;
    candidate.tiles_in_flight = shapes.threads + 1;
    candidate.spill_bytes = 0;
    candidate.scores_twice = shapes.self_join;
    if (!shapes.self_join || may_score_twice(shapes)) consider(candidate, largest);
    candidate.scores_twice = false;
    if (!shapes.self_join || shapes.pairs == PairScoring::kTwice) return;
    for (const std::uint64_t spill : kSpillBytes) {
      candidate.spill_bytes = spill;
      consider(candidate, largest);
    }
  };
  // With the top-K state in memory, and without; true once that is as good as any plan.
  const auto consider_tiles_of = [&](std::uint64_t columns) {
    candidate.tile_columns = columns;
    for (const std::uint64_t capacity : {preferred_capacity(plan.kept), least_capacity(plan.kept)}) {
      candidate.reservoir_capacity = capacity;
      candidate.resident = true;
      candidate.tiles_in_flight = shapes.threads + 3;  // two may carry a stripe's rows to be sorted and written
      candidate.spill_bytes = 0;
      if (shapes.pairs != PairScoring::kTwice) consider(candidate, stripe);
      if (least_seconds && plan.resident && plan.stripe_rows >= good_enough) return true;
      consider_without_state();
    }
    return false;
  };
  const std::uint64_t columns = preferred_columns(shapes);
  if (consider_tiles_of(columns)) return true;
  // Where memory is short, longer stripes are worth more than rows put in order by the thousand.
  if (shapes.screen.stops != 0 && consider_tiles_of(narrower_columns(shapes, columns))) return true;
  while (!least_seconds && candidate.tile_columns > shapes.base_width) {
    candidate.tile_columns =
        std::max<std::uint64_t>(shapes.base_width, round_down(candidate.tile_columns / 2, shapes.base_width));
    consider_without_state();
  }
  return least_seconds.has_value();
}

}  // namespace

std::uint64_t kept_neighbours(const Shapes& shapes) noexcept {
  if (shapes.all_pairs) return 0;
  const std::uint64_t others = shapes.self_join ? shapes.base_rows - 1 : shapes.base_rows;
  return std::max<std::uint64_t>(1, std::min(shapes.top_k, others));
}

std::uint64_t smallest_budget(const Shapes& shapes) {
  check_shapes(shapes);
  TilePlan plan;
  plan.kept = kept_neighbours(shapes);
  plan.tiles_in_flight = shapes.threads + 1;
  plan.resident = shapes.all_pairs;
  plan.spill_bytes = shapes.self_join || shapes.all_pairs ? kLeastSpillBytes : 0;
  plan.reservoir_capacity = shapes.all_pairs ? 0 : least_capacity(plan.kept);
  plan.tile_columns = std::min<std::uint64_t>(preferred_columns(shapes), shapes.base_width);
  plan.stripe_rows = round_up(std::min(kSmallestStripeRows, shapes.query_rows), shapes.query_width);
  return planned_bytes(shapes, plan);
}

std::uint64_t announced_budget(std::uint64_t smallest_bytes) {
  constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;
  return round_up(smallest_bytes + kProcessStepBytes, kMiB);
}

TilePlan make_plan(const Shapes& shapes, std::uint64_t budget_bytes) {
  const std::uint64_t smallest = smallest_budget(shapes);
  TilePlan plan;
  if (budget_bytes < smallest || !find_plan(shapes, budget_bytes, plan)) {
    const std::string works = std::to_string(announced_budget(smallest) >> 20) + "MiB";
    throw Error(ErrorCode::kBudgetTooSmall, "a budget of " + format_byte_size(budget_bytes) +
                                                " is too small for this job; the smallest that works is " + works +
                                                " (--budget " + works + ")");
  }
  plan.smallest_bytes = announced_budget(smallest);
  plan.planned_bytes = planned_bytes(shapes, plan);
  return plan;
}

std::uint64_t most_window_bytes(const RowShape& shape, std::uint64_t rows) noexcept {
  std::uint64_t product = 0;
  if (multiply_overflows(rows, shape.most_bytes, &product)) return shape.total_bytes;
  return std::min(product, shape.total_bytes);
}

TileCursor::TileCursor(const Shapes& shapes, const TilePlan& plan, std::uint64_t first_query_row)
    : query_end_(shapes.query_end()),
      base_begin_(shapes.base_begin()),
      base_end_(shapes.base_end()),
      stripe_rows_(plan.stripe_rows),
      tile_columns_(plan.tile_columns),
      meets_later_rows_alone_(meets_later_rows_alone(shapes, plan)) {
  tile_.for_queries_alone = plan.scores_twice;
  begin_stripe(first_query_row);
}

void TileCursor::begin_stripe(std::uint64_t query_begin) noexcept {
  tile_.query_begin = query_begin;
  tile_.query_end = std::min(query_begin + stripe_rows_, query_end_);
  tile_.first_of_stripe = true;
  const std::uint64_t first = first_column();
  set_columns(goes_left() ? first + (base_end_ - first - 1) / tile_columns_ * tile_columns_ : first);
}

void TileCursor::set_columns(std::uint64_t base_begin) noexcept {
  tile_.base_begin = base_begin;
  tile_.base_end = std::min(base_begin + tile_columns_, base_end_);
  tile_.last_of_stripe = goes_left() ? base_begin == first_column() : tile_.base_end == base_end_;
}

void TileCursor::advance() noexcept {
  if (tile_.last_of_stripe) {
    ++tile_.stripe;
    begin_stripe(tile_.query_end);
  } else {
    tile_.first_of_stripe = false;
    set_columns(goes_left() ? tile_.base_begin - tile_columns_ : tile_.base_end);
  }
}

std::uint64_t pairs_of_rows(const Shapes& shapes, const TilePlan& plan, std::uint64_t begin,
                            std::uint64_t end) noexcept {
  return plan.scores_twice ? (end - begin) * (shapes.base_rows - 1) : distinct_pairs_of_rows(shapes, begin, end);
}

double share_of_pairs(const Shapes& shapes, const TilePlan& plan, std::uint64_t first_row, std::uint64_t row) noexcept {
  const std::uint64_t all = pairs_of_rows(shapes, plan, first_row, shapes.query_end());
  return all == 0 ? 1.0 : static_cast<double>(pairs_of_rows(shapes, plan, first_row, row)) / static_cast<double>(all);
}

std::uint64_t distinct_pairs_of_rows(const Shapes& shapes, std::uint64_t begin, std::uint64_t end) noexcept {
  const std::uint64_t rows = end - begin;
  if (!shapes.self_join) return rows * (shapes.base_end() - shapes.base_begin());
  // Row i meets the base_rows - 1 - i rows behind it. The sum is rows * twice_mean / 2; exactly one factor is even.
  const std::uint64_t twice_mean = 2 * shapes.base_rows - 1 - begin - end;
  return rows % 2 == 0 ? rows / 2 * twice_mean : rows * (twice_mean / 2);
}

double rows_loaded_for_survivors(const Shapes& shapes, const TilePlan& plan, double left) noexcept {
  double rows = 0.0;
  for (std::uint64_t row = shapes.query_begin(); row < shapes.query_end(); row += plan.stripe_rows) {
    const std::uint64_t stripe = std::min(plan.stripe_rows, shapes.query_end() - row);
    rows +=
        static_cast<double>(columns_of_stripe(shapes, plan, row)) * -std::expm1(-left * static_cast<double>(stripe));
  }
  return rows;
}

Work work_of(const Shapes& shapes, const TilePlan& plan) {
  Work work;
  const std::uint64_t query_row_bytes =
      shapes.query.bytes_read() + (shapes.screen.in_use() ? streamed_row_bytes(shapes) : 0);
  const std::uint64_t others = shapes.self_join ? shapes.base_rows - 1 : shapes.base_rows;
  work.pairs_total = shapes.query_rows * others;
  work.pairs_scored = pairs_of_rows(shapes, plan, shapes.query_begin(), shapes.query_end());
  for (std::uint64_t row = shapes.query_begin(); row < shapes.query_end(); row += plan.stripe_rows) {
    const std::uint64_t columns = columns_of_stripe(shapes, plan, row);
    ++work.stripes;
    work.tiles += divide_up(columns, plan.tile_columns);
    work.bytes_read += columns * streamed_row_bytes(shapes) +
                       (std::min(row + plan.stripe_rows, shapes.query_end()) - row) * query_row_bytes;
  }
  if (!plan.resident) work.bytes_spilled = spilled_bytes(shapes, plan);
  return work;
}

}  // namespace simtile::plan
