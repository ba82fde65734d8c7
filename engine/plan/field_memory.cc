#include "engine/plan/field_memory.h"

#include <algorithm>

#include "engine/base/checked.h"
#include "engine/base/os.h"
#include "engine/plan/memory_model.h"

namespace simtile::plan {
namespace {

using os::kPageBytes;
constexpr std::uint64_t kMoreThanAnyBudget = std::uint64_t{1} << 52;

// The panels of a tile, and of sparse fields what dense columns take, should stay in half of a 2 MiB second-level
// cache. Larger tiles than a plain dense job's: a query row looks up each of its columns once for a whole tile.
constexpr std::uint64_t kFieldTileBytes = std::uint64_t{1} << 20;
constexpr std::uint64_t kMaxFieldTileColumns = 2048;

constexpr std::uint64_t kNonzeroBytes = sizeof(float) + sizeof(std::uint32_t);

}  // namespace

std::uint64_t field_tile_columns(const Shapes& shapes) noexcept {
  std::uint64_t row_bytes = 0;
  for (const FieldShape& field : shapes.fields)
    row_bytes += field.sparse ? field.base.bytes_on_average + 512
                              : (field.rounded_floats != 0 ? field.rounded_floats : field.dims) * sizeof(float);
  const std::uint64_t fitting = round_down(kFieldTileBytes / std::max<std::uint64_t>(1, row_bytes), shapes.base_width);
  return std::min(
      round_up(shapes.base_rows, shapes.base_width),
      std::clamp(fitting, std::uint64_t{2} * shapes.base_width, round_down(kMaxFieldTileColumns, shapes.base_width)));
}

std::uint64_t most_stripe_columns(const FieldShape& field, std::uint64_t stripe_rows) noexcept {
  return std::min(field.dims, most_window_bytes(field.query, stripe_rows) / kNonzeroBytes);
}

std::uint64_t denominators(const Shapes& shapes) noexcept {
  return shapes.renormalize ? std::uint64_t{1} << shapes.fields.size() : 0;
}

std::uint64_t field_workspace_bytes(const Shapes& shapes, const TilePlan& plan) noexcept {
  const std::uint64_t columns = round_up(plan.tile_columns, shapes.base_width);
  // The scores of one field, their sum, and the kernel's partial ones; with a first look, those of each sparse field.
  const auto sparse_fields = static_cast<std::uint64_t>(
      std::count_if(shapes.fields.begin(), shapes.fields.end(), [](const FieldShape& field) { return field.sparse; }));
  std::uint64_t bytes =
      (3 + (shapes.plans_a_look() ? sparse_fields : 0)) * (shapes.query_width * columns * sizeof(float) + kPageBytes);
  if (shapes.plans_a_look()) bytes += 2 * (kPairsScoredAtOnce * sizeof(float) + kPageBytes);
  bytes += columns * sizeof(std::uint32_t) + denominators(shapes) * sizeof(float) + 2 * kPageBytes;
  for (const FieldShape& field : shapes.fields)
    if (field.sparse)
      // Postings; where each column's are, twice as they are placed; dense columns.
      bytes += most_window_bytes(field.base, plan.tile_columns) +
               most_stripe_columns(field, plan.stripe_rows) * 2 * sizeof(std::uint32_t) +
               std::min(kMostDenseColumns, field.dims) * columns * sizeof(float) + 6 * kPageBytes;
    else
      bytes += (columns + shapes.base_width) * field.dims * sizeof(float) + 2 * kPageBytes +
               (shapes.plans_a_look()
                    ? rounded_rows_bytes(field.dims, field.rounded_floats, plan.tile_columns, shapes.base_width)
                    : 0);
  return bytes;
}

std::uint64_t field_stripe_bytes(const Shapes& shapes, const TilePlan& plan) noexcept {
  const std::uint64_t rows = round_up(plan.stripe_rows, shapes.query_width);
  std::uint64_t bytes = rows * sizeof(std::uint32_t) + kPageBytes;
  for (const FieldShape& field : shapes.fields) {
    const std::uint64_t row_bytes = most_window_bytes(field.query, plan.stripe_rows);
    // A stripe numbers its non-zeros with 32 bits.
    if (field.sparse && row_bytes / kNonzeroBytes > UINT32_MAX) return kMoreThanAnyBudget;
    if (field.sparse)
      bytes += row_bytes + (field.dims + plan.stripe_rows + 1) * sizeof(std::uint32_t) + 4 * kPageBytes;
    else if (field.rounded_floats != 0)
      bytes += rounded_rows_bytes(field.dims, field.rounded_floats, plan.stripe_rows, shapes.query_width) +
               field.dims * sizeof(float) + kPageBytes;
    else
      bytes += (rows + shapes.query_width) * field.dims * sizeof(float) + 2 * kPageBytes;
  }
  return bytes;
}

}  // namespace simtile::plan
