#include "engine/plan/memory_model.h"

#include <algorithm>

#include "engine/base/checked.h"
#include "engine/base/os.h"
#include "engine/kernels/tile_kernel.h"
#include "engine/memory/lease.h"
#include "engine/plan/field_memory.h"
#include "engine/storage/screen_layout.h"
#include "engine/topk/reservoirs.h"

namespace simtile::plan {
namespace {

using os::kPageBytes;

constexpr std::uint64_t kWaitingSurvivors = 16 << 10;
constexpr std::uint64_t kBytesScoredAtOnce = 64 << 10;

// Leases of a window of rows: their bytes, and beside them scales and norms (dense) or row starts, columns and values.
std::uint64_t window_bytes(const RowShape& shape, std::uint64_t rows) noexcept {
  return LeasedSection::lease_cost_bytes(most_window_bytes(shape, rows)) +
         3 * LeasedSection::lease_cost_bytes((rows + 1) * 8);
}

std::uint64_t prefix_bytes_of_row(const Shapes& shapes) noexcept { return shapes.screen.prefix_dims * sizeof(float); }

// And where a screen is in use, of its rows: coordinates, residual norms, norms.
std::uint64_t screen_window_bytes(const Shapes& shapes, std::uint64_t rows) noexcept {
  if (!shapes.screen.in_use()) return 0;
  const std::uint64_t prefix_bytes = prefix_bytes_of_row(shapes);
  return LeasedSection::lease_cost_bytes(rows * prefix_bytes) +
         LeasedSection::lease_cost_bytes(rows * prefix_bytes / storage::kScreenStep) +
         LeasedSection::lease_cost_bytes(rows * sizeof(double));
}

// What a row takes in panels of the screen, and beside them, its share of a ball included (join/screen_panels.h).
std::uint64_t screen_row_bytes(const ScreenShape& screen, std::uint32_t width) noexcept {
  return (screen.panel_floats + 4 + screen.stops) * sizeof(float) + sizeof(std::uint32_t) + sizeof(double) +
         divide_up(screen.panel_dims() * sizeof(float) + 2 * sizeof(double), width);
}

// All that tiles hold of the base. Of several fields, each worker leases one at a time.
std::uint64_t tile_windows_bytes(const Shapes& shapes, const TilePlan& plan) noexcept {
  if (!shapes.by_fields())
    return plan.tiles_in_flight *
           (window_bytes(shapes.base, plan.tile_columns) + screen_window_bytes(shapes, plan.tile_columns));
  std::uint64_t most = 0;
  for (const FieldShape& field : shapes.fields) most = std::max(most, window_bytes(field.base, plan.tile_columns));
  return shapes.threads * most;
}

std::uint64_t reservoir_bytes(std::uint64_t rows, std::uint64_t capacity) noexcept {
  return topk::Reservoirs::cost_bytes(rows, capacity) + 3 * kPageBytes;
}

}  // namespace

std::uint64_t rounded_rows_bytes(std::uint64_t dims, std::uint64_t rounded_floats, std::uint64_t rows,
                                 std::uint32_t width) noexcept {
  return round_up(rows, width) * ((dims + rounded_floats) * sizeof(float) + sizeof(double)) +
         width * (dims + 1) * sizeof(float) + 4 * kPageBytes;
}

std::uint64_t streamed_row_bytes(const Shapes& shapes) noexcept {
  if (!shapes.screen.in_use()) return shapes.base.bytes_read();
  return prefix_bytes_of_row(shapes) + prefix_bytes_of_row(shapes) / storage::kScreenStep + sizeof(double);
}

std::uint64_t rows_scored_at_once(const Shapes& shapes) noexcept {
  const std::uint64_t rows = kBytesScoredAtOnce / std::max<std::uint64_t>(1, shapes.dims * sizeof(float));
  return std::clamp<std::uint64_t>(round_up(rows, shapes.base_width), shapes.base_width, 256);
}

std::uint64_t few_query_room_floats(std::uint64_t queries, std::uint64_t base_rows, std::uint64_t dims) noexcept {
  return (queries + 2 + dims) * base_rows;
}

std::uint64_t survivor_capacity(const Shapes& shapes, const TilePlan& plan) noexcept {
  if (shapes.few_queries)
    return kWaitingSurvivors + plan.stripe_rows * rows_scored_at_once(shapes) + kernels::kSurvivorSlack;
  // A strip must fit on top of what is waiting, or a few survivors would force a drain before every strip.
  return kWaitingSurvivors + shapes.query_width * round_up(plan.tile_columns, shapes.base_width) +
         kernels::kSurvivorSlack;
}

std::uint64_t workspace_bytes(const Shapes& shapes, const TilePlan& plan) noexcept {
  const std::uint64_t columns = round_up(plan.tile_columns, shapes.base_width);
  // Two lists, of scores and pair numbers.
  const std::uint64_t survivors =
      2 * (survivor_capacity(shapes, plan) * (sizeof(float) + sizeof(std::uint32_t)) + 2 * kPageBytes);
  // Thresholds, and for l2 by the product offsets and norms.
  const std::uint64_t thresholds = (columns + shapes.query_width) * (2 * sizeof(float) + sizeof(double));
  const std::uint64_t column_state = !spills(shapes, plan)
                                         ? 0
                                         : reservoir_bytes(plan.tile_columns, plan.reservoir_capacity) +
                                               topk::Bounds::cost_bytes(plan.tile_columns) + kPageBytes;
  if (shapes.by_fields())
    return survivors + thresholds + column_state + field_workspace_bytes(shapes, plan) + 6 * kPageBytes;
  if (shapes.sparse)
    return survivors + thresholds + column_state + round_up(plan.stripe_rows, 64) * 2 * sizeof(float) + 6 * kPageBytes;
  if (shapes.few_queries)
    return survivors + plan.stripe_rows * sizeof(float) +
           few_query_room_floats(plan.stripe_rows, rows_scored_at_once(shapes), shapes.dims) * sizeof(float) +
           rows_scored_at_once(shapes) * sizeof(double) + 7 * kPageBytes;
  if (shapes.screen.in_use()) {
    // Thresholds and offsets, those of the base and of a query panel once more in the order of the panels.
    const std::uint64_t limits =
        (round_up(plan.stripe_rows, shapes.query_width) + shapes.query_width + 2 * columns) * 2 * sizeof(float);
    const std::uint64_t rows =
        columns * (screen_row_bytes(shapes.screen, shapes.base_width) + (shapes.dims + 1) * sizeof(float) + 1);
    const std::uint64_t scratch =
        (columns * shapes.query_width + shapes.screen.panel_dims() * shapes.base_width) * sizeof(float);
    const std::uint64_t places = columns * sizeof(std::uint32_t);
    const std::uint64_t balls = divide_up(columns, std::uint64_t{ScreenShape::kPanelsOfABall} * shapes.base_width) *
                                (shapes.screen.panel_dims() * sizeof(float) + 3 * sizeof(double));
    return survivors + limits + rows + scratch + places + balls + column_state + 30 * kPageBytes;
  }
  const std::uint64_t panels = columns * shapes.dims * sizeof(float);
  const std::uint64_t scratch = std::max(shapes.base_width, shapes.query_width) * shapes.dims * sizeof(float);
  const std::uint64_t partial = shapes.query_width * columns * sizeof(float);
  const std::uint64_t rounded = !shapes.plans_a_look() ? 0
                                                       : rounded_rows_bytes(shapes.dims, shapes.rounded_floats,
                                                                            plan.tile_columns, shapes.base_width);
  return rounded + panels + scratch + partial + survivors + thresholds + column_state + 12 * kPageBytes;
}

std::uint64_t packing_rows(const Shapes& shapes) noexcept {
  const std::uint64_t bytes = std::max<std::uint64_t>(1, shapes.query.most_bytes);
  const std::uint64_t rows = std::clamp<std::uint64_t>((256 << 10) / bytes, 1, 4096);
  return round_up(rows, shapes.query_width);
}

std::uint64_t stripe_bytes(const Shapes& shapes, const TilePlan& plan) noexcept {
  if (shapes.by_fields()) return field_stripe_bytes(shapes, plan);
  if (shapes.sparse) {
    // A stripe numbers its non-zeros with 32 bits.
    if (most_window_bytes(shapes.query, plan.stripe_rows) / 8 > UINT32_MAX) return std::uint64_t{1} << 52;
    // Value and column of each non-zero (8 bytes, as in the file), and each row's end.
    return most_window_bytes(shapes.query, plan.stripe_rows) + (plan.stripe_rows + 1) * sizeof(std::uint32_t) +
           4 * kPageBytes;
  }
  const std::uint64_t rows = round_up(plan.stripe_rows, shapes.query_width);
  if (shapes.screen.in_use())
    return rows * (screen_row_bytes(shapes.screen, shapes.query_width) +
                   (shapes.screen.kept_dims() + shapes.dims) * sizeof(float) + sizeof(std::uint32_t)) +
           shapes.query_width * shapes.screen.panel_dims() * sizeof(float) + 15 * kPageBytes;
  if (shapes.plans_a_look())
    return rounded_rows_bytes(shapes.dims, shapes.rounded_floats, plan.stripe_rows, shapes.query_width);
  // As they are, and as integers.
  const std::uint64_t unpacked =
      shapes.few_queries ? rows * shapes.dims * (sizeof(float) + sizeof(std::int16_t)) + kPageBytes : 0;
  return (rows + shapes.query_width) * shapes.dims * sizeof(float) + unpacked + rows * sizeof(double) + 4 * kPageBytes;
}

std::uint64_t stripes_in_flight(const TilePlan& plan) noexcept { return plan.resident ? 2 : 1; }

std::uint64_t lasting_bytes(const Shapes& shapes, const TilePlan& plan) noexcept {
  const std::uint64_t state_rows = shapes.all_pairs ? 0
                                   : plan.resident  ? shapes.found_rows()
                                                    : std::min(plan.stripe_rows, shapes.query_rows);
  const std::uint64_t bounds =
      topk::Bounds::cost_bytes(shapes.query_rows) + topk::RowLocks::cost_bytes(shapes.query_rows) + kPageBytes;
  return shapes.fixed_bytes + bounds + reservoir_bytes(state_rows, plan.reservoir_capacity) + plan.spill_bytes;
}

std::uint64_t planned_bytes(const Shapes& shapes, const TilePlan& plan) noexcept {
  std::uint64_t packing = window_bytes(shapes.query, packing_rows(shapes));
  for (const FieldShape& field : shapes.fields)
    packing = std::max(packing, window_bytes(field.query, packing_rows(shapes)));
  return lasting_bytes(shapes, plan) + stripes_in_flight(plan) * stripe_bytes(shapes, plan) + packing +
         screen_window_bytes(shapes, packing_rows(shapes)) + shapes.threads * workspace_bytes(shapes, plan) +
         tile_windows_bytes(shapes, plan);
}

}  // namespace simtile::plan
