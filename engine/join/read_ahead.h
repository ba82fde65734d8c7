// Keeps the base rows of the coming tiles on their way from the disk: runs ahead of the pipeline in plan order and asks
// the kernel for them in large requests, several under way at once.
//
// Threads: one at a time.
#pragma once

#include <cstdint>

#include "engine/join/side.h"
#include "engine/plan/tile_plan.h"

namespace simtile::join {

class ReadAhead {
 public:
  // Keeps about `ahead_bytes` under way.
  ReadAhead(Side& base, const plan::Shapes& shapes, plan::TileCursor first, std::uint64_t ahead_bytes);

  // The pipeline has leased one more tile; unless it `may_ask`, nothing more is asked for.
  void on_tile_leased(bool may_ask) noexcept;

 private:
  void ask_for_more() noexcept;

  Side* base_;
  plan::TileCursor next_;  // the first tile that was not asked for
  std::uint64_t row_bytes_;
  std::uint64_t rows_per_request_;
  std::uint64_t tiles_ahead_ = 0;
  std::uint64_t most_tiles_ahead_;
};

}  // namespace simtile::join
