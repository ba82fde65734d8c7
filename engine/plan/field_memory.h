// What a job on several fields, or on a sparse one, holds in memory (join/field_stripe.h, join/field_scorer.h): the
// same figures that its allocations are made from.
#pragma once

#include <cstdint>

#include "engine/plan/tile_plan.h"

namespace simtile::plan {

// So many columns of a tile may be kept as dense vectors: its heaviest.
inline constexpr std::uint64_t kMostDenseColumns = 192;

// So many of the pairs that a first look lets through are scored at once.
inline constexpr std::uint64_t kPairsScoredAtOnce = 1024;

// Base rows that a tile should have.
std::uint64_t field_tile_columns(const Shapes& shapes) noexcept;

// One worker's buffers, beside lists of survivors and thresholds: a tile's rows of each field, and a strip's scores.
std::uint64_t field_workspace_bytes(const Shapes& shapes, const TilePlan& plan) noexcept;
// A stripe's rows of all fields.
std::uint64_t field_stripe_bytes(const Shapes& shapes, const TilePlan& plan) noexcept;
// Columns that a stripe's rows of a sparse field can hold between them.
std::uint64_t most_stripe_columns(const FieldShape& field, std::uint64_t stripe_rows) noexcept;
// Denominators of a renormalised sum: one for each set of fields.
std::uint64_t denominators(const Shapes& shapes) noexcept;

}  // namespace simtile::plan
