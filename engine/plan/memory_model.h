// What a plan holds in memory, term by term: the same figures that the job's allocations are made from.
#pragma once

#include <cstdint>

#include "engine/plan/tile_plan.h"

namespace simtile::plan {

// A spill's buffer, and a pair store's, from comfortable to the least that works. A larger buffer of pairs spares
// nothing: they are all kept.
inline constexpr std::uint64_t kLeastSpillBytes = std::uint64_t{2} << 20;
inline constexpr std::uint64_t kSpillBytes[] = {std::uint64_t{512} << 20, std::uint64_t{192} << 20,
                                                std::uint64_t{64} << 20,  std::uint64_t{16} << 20,
                                                std::uint64_t{6} << 20,   kLeastSpillBytes};
inline constexpr std::uint64_t kPairStoreBytes[] = {std::uint64_t{64} << 20, std::uint64_t{16} << 20,
                                                    std::uint64_t{6} << 20, kLeastSpillBytes};
inline constexpr std::uint64_t kSpillEntryBytes = 12;
// So many runs are merged into one.
inline constexpr std::uint64_t kSpillFanIn = 16;
// A run is written and read in blocks of so many entries (join/run_file.h).
inline constexpr std::uint64_t kRunBlockEntries = 4096;
// Entries that the spill's buffer holds: its memory is also that of the blocks of the runs that are merged.
constexpr std::uint64_t spill_buffer_entries(std::uint64_t spill_bytes) noexcept {
  return (spill_bytes - (kSpillFanIn + 2) * (kRunBlockEntries * kSpillEntryBytes + 4096)) / kSpillEntryBytes;
}

// Survivors that a worker collects before it takes locks to hand them on.
std::uint64_t survivor_capacity(const Shapes& shapes, const TilePlan& plan) noexcept;
// With few queries, base rows are loaded and scored so many at once: they should stay in the first-level cache, or
// near.
std::uint64_t rows_scored_at_once(const Shapes& shapes) noexcept;
// What their first look works in (screen/few_query_look.h): products, what is told of each base row, rows decoded.
std::uint64_t few_query_room_floats(std::uint64_t queries, std::uint64_t base_rows, std::uint64_t dims) noexcept;
// Rows and panels for a first look (join/rounded_rows.h).
std::uint64_t rounded_rows_bytes(std::uint64_t dims, std::uint64_t rounded_floats, std::uint64_t rows,
                                 std::uint32_t width) noexcept;
// One worker's buffers.
std::uint64_t workspace_bytes(const Shapes& shapes, const TilePlan& plan) noexcept;
// A stripe's packed rows.
std::uint64_t stripe_bytes(const Shapes& shapes, const TilePlan& plan) noexcept;
// Rows are leased in pieces of so many while a stripe is packed.
std::uint64_t packing_rows(const Shapes& shapes) noexcept;
// Stripes whose packed rows exist at once: the next one is packed while the last tiles of the one before it run.
std::uint64_t stripes_in_flight(const TilePlan& plan) noexcept;

// What a base row takes in the file that tiles stream: the screen's, where one is in use.
std::uint64_t streamed_row_bytes(const Shapes& shapes) noexcept;

// What stays from the job's start to its end: the process, bounds, the top-K state and the spill. The rest are the
// pipeline's stripes, windows and workspaces.
std::uint64_t lasting_bytes(const Shapes& shapes, const TilePlan& plan) noexcept;
std::uint64_t planned_bytes(const Shapes& shapes, const TilePlan& plan) noexcept;

}  // namespace simtile::plan
