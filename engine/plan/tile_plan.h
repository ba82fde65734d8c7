// The plan: from shapes and a page budget to an ordered list of tiles and what they will cost. Pure functions, no I/O;
// nothing else decides what is read when, or how much memory a job may hold.
//
// Query rows are cut into *stripes*; a stripe's rows are packed once and stay resident while base rows stream past in
// *tiles* of as many columns as fit, packed, in a core's own cache. In a self-join a stripe meets only the rows from
// its own first row on: each pair is scored once, and the score feeds both rows.
//
//            base rows ->                      stripe 0:  tiles (0,0) (0,1) (0,2) ...
//   query    [ \ 0,0 | 0,1 | 0,2 | ... ]       stripe 1:        tiles (1,1) (1,2) ...
//   rows     [       \ 1,1 | 1,2 | ... ]       Once stripe s is through, its rows are final: every earlier stripe has
//    |       [             \ 2,2 | ... ]       met them as base rows, and they have met every later row.
//    v
// Every other stripe takes its tiles from right to left, so that each turn begins with what the page cache still holds.
//
// The top-K state of all query rows is resident when the budget allows. Otherwise only the running stripe's is. What a
// self-join's tiles find for later rows then goes to disk (join/spill.h); or, where that would take longer than to
// score each pair twice, its stripes meet all rows, as a search's do, and find nothing for others.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "engine/storage/screen_layout.h"
#include "simtile/types.h"

namespace simtile::plan {

// With so many query rows or fewer, a search is bound by reading the base, and packing its rows would not pay.
inline constexpr std::uint64_t kFewQueries = 64;

// What rows take in the file. Dense rows are all alike; sparse ones are bounded by the longest and by all together.
struct RowShape {
  std::uint64_t bytes_on_average = 0;
  std::uint64_t most_bytes = 0;  // of one row
  // Of each row, in sections of their own: scales, and norms where a cosine wants them.
  std::uint64_t bytes_beside = 0;
  std::uint64_t total_bytes = 0;
  std::uint64_t bytes_read() const noexcept { return bytes_on_average + bytes_beside; }
  RowShape& operator+=(const RowShape& other) noexcept {
    bytes_on_average += other.bytes_on_average;
    bytes_beside += other.bytes_beside;
    most_bytes += other.most_bytes;
    total_bytes += other.total_bytes;
    return *this;
  }
};

// A screen in use (screen/screen_margin.h): pairs are bounded by their rows' first coordinates, those left by more of
// them, those left by the rows themselves. Without one, all are zero.
struct ScreenShape {
  std::uint64_t prefix_dims = 0;  // coordinates of a row in the screen file
  std::uint64_t first_dims = 0;   // of them, in the tile kernel; a multiple of storage::kScreenStep, as the next
  std::uint64_t next_dims = 0;    // of them, for each pair that is left; may be 0
  // The second bound begins at this coordinate: where the first one ended, or at 0 when that was not an exact product.
  std::uint64_t next_begin = 0;
  std::uint64_t panel_floats = 0;  // what a row takes in a panel of the first bound (kernels::ScreenKernel)
  // Blocks of pairs may end so many times on the way (kernels::ScreenStops): after stop_coordinates(0), (1), ...
  std::uint32_t stops = 0;
  bool in_use() const noexcept { return first_dims != 0; }
  // Dimensions of the panels: slack, coordinates, residual norms at the stops and at the end.
  std::uint64_t panel_dims() const noexcept { return first_dims + 2 + stops; }
  // Base panels that share a ball, by which they are ruled out at once (join/screen_panels.h).
  static constexpr std::uint32_t kPanelsOfABall = 8;
  static constexpr std::uint32_t kMostStops = 5;
  static std::uint64_t stop_coordinates(std::uint32_t stop) noexcept { return storage::kScreenStep << stop; }
  // Its dimension in the panels: behind the slack, those coordinates and the stops before it.
  static std::uint32_t stop_dim(std::uint32_t stop) noexcept {
    return 1 + static_cast<std::uint32_t>(stop_coordinates(stop)) + stop;
  }
  static std::uint32_t most_stops(std::uint64_t first_dims) noexcept {
    std::uint32_t stops = 0;
    while (stops < kMostStops && stop_coordinates(stops) < first_dims) ++stops;
    return stops;
  }
  // Coordinates that are kept of a query row for the bounds after the first.
  std::uint64_t kept_dims() const noexcept { return first_dims + next_dims; }
  // Coordinates that the second bound looks at.
  std::uint64_t second_dims() const noexcept { return next_dims == 0 ? 0 : first_dims + next_dims - next_begin; }
};

// One of the matrices that a job's scores are a weighted sum over.
struct FieldShape {
  std::uint64_t dims = 0;
  bool sparse = false;
  float weight = 1.0f;
  RowShape base;
  RowShape query;
  std::uint64_t rounded_floats = 0;  // dense: as Shapes::rounded_floats
};

// The share of the work that is to be done, where it is not all of it (plan/shard.h).
struct Part {
  std::uint64_t query_begin = 0, query_end = UINT64_MAX;  // the stripes' rows
  std::uint64_t base_begin = 0, base_end = UINT64_MAX;    // the rows that they meet; in a self-join always all
  bool is_all() const noexcept {
    return query_begin == 0 && query_end == UINT64_MAX && base_begin == 0 && base_end == UINT64_MAX;
  }
};

// A random sample of the base rows, from which bounds are guessed before the first tile (plan/sample.h). 0: none.
struct Sample {
  std::uint64_t rows = 0;
  std::uint64_t rank = 0;  // a row's bound is its so many-th best in the sample
  bool in_use() const noexcept { return rows != 0; }
  friend bool operator==(const Sample&, const Sample&) = default;
};

struct Shapes {
  std::uint64_t query_rows = 0;
  std::uint64_t base_rows = 0;
  std::uint64_t dims = 0;
  bool self_join = false;
  PairScoring pairs = PairScoring::kAuto;  // of a self-join: which plans may be chosen
  std::uint64_t top_k = 0;
  bool all_pairs = false;  // all that are good enough, instead of a top K: they go to disk (join/pair_store.h)
  std::uint32_t threads = 1;
  std::uint32_t query_width = 1;  // the kernel's panel widths: of a screen or first look, where there is one
  std::uint32_t base_width = 1;
  RowShape base;
  RowShape query;
  bool sparse = false;
  // Dense, and no more query rows than kFewQueries: base rows are scored where they lie (kernels::RowStrip), so many
  // at once as base_width says; query_width is the width of the panels for that.
  bool few_queries = false;
  ScreenShape screen;  // dense, not few_queries
  // Neither few_queries nor screened: what a row, of several fields its dense ones, takes in panels for a first look at
  // all of its coordinates, rounded (join/rounded_rows.h). 0: every pair is scored by the definition at once.
  std::uint64_t rounded_floats = 0;
  double look_speedup = 1.0;  // ScreenKernel::speedup
  // Several fields, or one that is sparse (not l2) or weighted: scores are made field by field in a block
  // (join/field_scorer.h). `dims`, `base` and `query` are then those of all fields together. Otherwise empty.
  std::vector<FieldShape> fields;
  bool renormalize = false;  // sums are divided by the weights of the fields that both rows have
  Part part;
  Sample sample;
  // What does not depend on the plan: the process before the job, threads, checksum tables, output buffers.
  std::uint64_t fixed_bytes = 0;

  bool by_fields() const noexcept { return !fields.empty(); }
  bool plans_a_look() const noexcept { return rounded_floats != 0; }
  // Dimensions that go through the matrix product.
  std::uint64_t product_dims() const noexcept {
    if (!by_fields()) return dims;
    std::uint64_t dense = 0;
    for (const FieldShape& field : fields) dense += field.sparse ? 0 : field.dims;
    return dense;
  }
  std::uint64_t query_begin() const noexcept { return std::min(part.query_begin, query_rows); }
  std::uint64_t query_end() const noexcept { return std::min(part.query_end, query_rows); }
  std::uint64_t base_begin() const noexcept { return std::min(part.base_begin, base_rows); }
  std::uint64_t base_end() const noexcept { return std::min(part.base_end, base_rows); }
  // Rows about which the part can find something: [query_begin, found_end). A self-join's tiles find neighbours for the
  // base rows too.
  std::uint64_t found_end() const noexcept { return self_join ? query_rows : query_end(); }
  std::uint64_t found_rows() const noexcept { return found_end() - query_begin(); }
};

struct TilePlan {
  std::uint64_t stripe_rows = 0;
  std::uint64_t tile_columns = 0;
  std::uint64_t reservoir_capacity = 0;
  std::uint64_t kept = 0;         // min(top_k, rows a row can have as neighbours)
  bool resident = true;           // the top-K state of all query rows stays in memory
  bool scores_twice = false;      // of a self-join: each pair, for one of its rows at a time; not resident
  std::uint64_t spill_bytes = 0;  // buffers of the spill, when there is one
  std::uint32_t tiles_in_flight = 1;
  std::uint64_t planned_bytes = 0;   // all that the job will hold, Shapes::fixed_bytes included
  std::uint64_t smallest_bytes = 0;  // announced_budget() of the smallest with which make_plan succeeds
};

// A self-join's stripes meet the rows from their own on, where pairs are scored once.
inline bool meets_later_rows_alone(const Shapes& shapes, const TilePlan& plan) noexcept {
  return shapes.self_join && !plan.scores_twice;
}

// What a self-join's tiles find for rows whose state is not in memory goes to disk.
inline bool spills(const Shapes& shapes, const TilePlan& plan) noexcept {
  return meets_later_rows_alone(shapes, plan) && !plan.resident;
}

// Neighbours that are kept of a row: as many as are wanted and as there are; none where all pairs are wanted.
std::uint64_t kept_neighbours(const Shapes& shapes) noexcept;

// The best plan within budget_bytes. Throws Error(kBudgetTooSmall) naming the smallest budget that works, and
// Error(kInvalidArgument) for shapes that no job can have.
TilePlan make_plan(const Shapes& shapes, std::uint64_t budget_bytes);
std::uint64_t smallest_budget(const Shapes& shapes);
// A process's own size varies by some hundred KiB from run to run: it counts in whole steps, and as what the command
// line's takes at least, so that the same job is given the same plan.
inline constexpr std::uint64_t kProcessStepBytes = std::uint64_t{1} << 20;
inline constexpr std::uint64_t kLeastProcessBytes = std::uint64_t{9} << 20;
// What to tell a person who needs `smallest_bytes`: whole MiB, with room for a process that counts one step larger in
// the next run.
std::uint64_t announced_budget(std::uint64_t smallest_bytes);

struct Tile {
  std::uint64_t stripe = 0;
  std::uint64_t query_begin = 0, query_end = 0;
  std::uint64_t base_begin = 0, base_end = 0;
  bool first_of_stripe = false;
  bool last_of_stripe = false;
  // Of a self-join: finds nothing for the base rows, which may be any, as in a search. Of plans that score pairs twice,
  // and what a row is searched again by.
  bool for_queries_alone = false;
};

// The most that `rows` consecutive rows can take in the file.
std::uint64_t most_window_bytes(const RowShape& shape, std::uint64_t rows) noexcept;

// Walks the part's tiles in plan order, stripe by stripe, from a query row on.
class TileCursor {
 public:
  TileCursor(const Shapes& shapes, const TilePlan& plan, std::uint64_t first_query_row);
  TileCursor(const Shapes& shapes, const TilePlan& plan) : TileCursor(shapes, plan, shapes.query_begin()) {}
  bool at_end() const noexcept { return tile_.query_begin >= query_end_; }
  const Tile& tile() const noexcept { return tile_; }
  void advance() noexcept;

 private:
  void begin_stripe(std::uint64_t query_begin) noexcept;
  void set_columns(std::uint64_t base_begin) noexcept;
  // The stripe's leftmost column.
  std::uint64_t first_column() const noexcept { return meets_later_rows_alone_ ? tile_.query_begin : base_begin_; }
  bool goes_left() const noexcept { return tile_.stripe % 2 == 1; }

  std::uint64_t query_end_, base_begin_, base_end_, stripe_rows_, tile_columns_;
  bool meets_later_rows_alone_;
  Tile tile_;
};

struct Work {
  std::uint64_t stripes = 0, tiles = 0;
  std::uint64_t pairs_total = 0;   // the answer is drawn from
  std::uint64_t pairs_scored = 0;  // computed
  std::uint64_t bytes_read = 0;
  std::uint64_t bytes_spilled = 0;  // an estimate (spill_model.h)
};

// Base rows that a screened plan loads for the pairs that are left, with a share of `left` of all: each once for a
// stripe that leaves any with it, as if every row were as likely.
double rows_loaded_for_survivors(const Shapes& shapes, const TilePlan& plan, double left) noexcept;

// All of the part's. Of a screened job, without the rows that pairs which are left are scored by.
Work work_of(const Shapes& shapes, const TilePlan& plan);

// Pairs that the plan scores for query rows [begin, end), and those of them that rows before have not met.
std::uint64_t pairs_of_rows(const Shapes& shapes, const TilePlan& plan, std::uint64_t begin,
                            std::uint64_t end) noexcept;
std::uint64_t distinct_pairs_of_rows(const Shapes& shapes, std::uint64_t begin, std::uint64_t end) noexcept;
// Of all pairs from first_row on, those of the rows before `row`.
double share_of_pairs(const Shapes& shapes, const TilePlan& plan, std::uint64_t first_row, std::uint64_t row) noexcept;

}  // namespace simtile::plan
