#include "engine/join/read_ahead.h"

#include <algorithm>

#include "engine/base/checked.h"
#include "engine/plan/memory_model.h"

namespace simtile::join {
namespace {

constexpr std::uint64_t kRequestBytes = std::uint64_t{1} << 20;

}  // namespace

ReadAhead::ReadAhead(Side& base, const plan::Shapes& shapes, plan::TileCursor first, std::uint64_t ahead_bytes)
    : base_(&base), next_(first), row_bytes_(std::max<std::uint64_t>(1, plan::streamed_row_bytes(shapes))) {
  const std::uint64_t request = std::min(kRequestBytes, ahead_bytes / 2);
  rows_per_request_ = std::max<std::uint64_t>(1, request / row_bytes_);
  const std::uint64_t columns = first.at_end() ? 1 : first.tile().base_end - first.tile().base_begin;
  most_tiles_ahead_ = divide_up(ahead_bytes, std::max<std::uint64_t>(1, columns * row_bytes_));
}

void ReadAhead::on_tile_leased(bool may_ask) noexcept {
  if (tiles_ahead_ != 0) {
    --tiles_ahead_;
  } else if (!next_.at_end()) {
    next_.advance();  // leased before it was asked for
  }
  while (may_ask && !next_.at_end() && tiles_ahead_ < most_tiles_ahead_) {
    const std::uint64_t before = tiles_ahead_;
    ask_for_more();
    if (tiles_ahead_ == before) break;
  }
}

// One request for as many neighbouring tiles as make a large one; none while less than that would still fit.
void ReadAhead::ask_for_more() noexcept {
  plan::TileCursor end = next_;
  std::uint64_t begin_row = end.tile().base_begin, end_row = end.tile().base_end;
  std::uint64_t tiles = 1;
  for (end.advance(); !end.at_end() && end_row - begin_row < rows_per_request_; end.advance(), ++tiles) {
    const plan::Tile& tile = end.tile();
    if (tile.base_begin == end_row)
      end_row = tile.base_end;
    else if (tile.base_end == begin_row)
      begin_row = tile.base_begin;
    else
      break;
  }
  if (tiles_ahead_ != 0 && tiles_ahead_ + tiles > most_tiles_ahead_) return;
  base_->prefetch(begin_row, end_row - begin_row);
  tiles_ahead_ += tiles;
  next_ = end;
}

}  // namespace simtile::join
