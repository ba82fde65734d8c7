// At which stops (kernels::ScreenStops) of a screen's first look blocks are tested: where so many of them end there
// that the dimensions spared outweigh the tests, by what the tile before showed; and whether balls
// are asked first, which rule many blocks out at once. What does not pay is tried again after some tiles.
//
// Threads: one at a time.
#pragma once

#include <cstdint>

#include "engine/kernels/tile_kernel.h"
#include "engine/plan/tile_plan.h"

namespace simtile::join {

class StopChoice {
 public:
  explicit StopChoice(const plan::ScreenShape& shape) : panel_dims_(static_cast<std::uint32_t>(shape.panel_dims())) {
    static_assert(plan::ScreenShape::kMostStops == kernels::ScreenStops::kMost);
    stops_.count = shape.stops;
    for (std::uint32_t s = 0; s < shape.stops; ++s) stops_.dims[s] = plan::ScreenShape::stop_dim(s);
    stops_.tested = (1u << shape.stops) - 1u;
  }

  // For the tile's strips; null where panels have no stops.
  kernels::ScreenStops* stops() noexcept { return stops_.count == 0 ? nullptr : &stops_; }

  bool asks_balls() const noexcept { return tiles_without_balls_ == 0; }
  void count_ball(bool ruled_out) noexcept {
    ++balls_asked_;
    balls_ruled_out_ += ruled_out;
  }

  void end_tile() noexcept {
    choose_stops();
    if (tiles_without_balls_ > 0) --tiles_without_balls_;
    if (balls_ruled_out_ * kBlocksForABall < balls_asked_) tiles_without_balls_ = kTilesBeforeAnotherTry;
    balls_asked_ = balls_ruled_out_ = 0;
  }

 private:
  void choose_stops() noexcept {
    std::uint64_t reached = stops_.blocks;
    for (std::uint32_t s = 0; s < stops_.count; ++s) {
      if (!is_tested(s)) {
        if (--tiles_before_another_try_[s] == 0) stops_.tested |= 1u << s;
        continue;
      }
      if (stops_.ended[s] * dims_spared_at(s) < reached * kDimsOfATest) {
        stops_.tested &= ~(1u << s);
        tiles_before_another_try_[s] = kTilesBeforeAnotherTry;
      }
      reached -= stops_.ended[s];
      stops_.ended[s] = 0;
    }
    stops_.blocks = 0;
  }

  // A test takes about as long as so many dimensions.
  static constexpr std::uint64_t kDimsOfATest = 4;
  // Two balls' distance costs less than a hundredth of the blocks that they stand for.
  static constexpr std::uint64_t kBlocksForABall = 100;
  static constexpr std::uint32_t kTilesBeforeAnotherTry = 16;

  bool is_tested(std::uint32_t s) const noexcept { return (stops_.tested >> s & 1u) != 0; }
  // By a block that ends there and not at the next stop that is tested.
  std::uint64_t dims_spared_at(std::uint32_t s) const noexcept {
    std::uint32_t next = s + 1;
    while (next < stops_.count && !is_tested(next)) ++next;
    return (next < stops_.count ? stops_.dims[next] : panel_dims_) - stops_.dims[s];
  }

  std::uint32_t panel_dims_;
  kernels::ScreenStops stops_;
  std::uint64_t balls_asked_ = 0;  // of this tile
  std::uint64_t balls_ruled_out_ = 0;
  std::uint32_t tiles_without_balls_ = 0;
  std::uint32_t tiles_before_another_try_[kernels::ScreenStops::kMost] = {};
};

}  // namespace simtile::join
