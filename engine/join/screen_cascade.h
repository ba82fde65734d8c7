// The stages of a screen, within one tile: from the pairs whose first coordinates' bound was good enough to those whose
// score is.
//
//   kernel's list: first coordinates -> more coordinates -> the rows themselves, in any order -> the definition
//
// The kernel's pairs are of places in the panels (screen_panels.h); all that come after are of rows.
//
// A self-join's diagonal: of two rows of the stripe, the one at the earlier place meets the other, so that each pair is
// met once. A tile's rows that are the stripe's as well come first, in its order.
//
// Each stage makes the bound of the pairs that are left tighter and drops those that it decides; the last gives scores
// by the definition. The base rows are read from the matrix, and decoded, only when a pair of theirs comes so far.
//
// Threads: one at a time for each ScreenCascade; nothing is allocated once it is made.
#pragma once

#include <cstdint>

#include "engine/join/screen_panels.h"
#include "engine/join/stripe.h"
#include "engine/memory/dense_rows.h"

namespace simtile::join {

// Pairs that were left after each stage.
struct ScreenCounts {
  std::uint64_t dropped = 0;  // not left even before it: their rows' balls lie too far apart
  std::uint64_t first = 0;    // the first coordinates let through
  std::uint64_t next = 0;     // more of them let through
  std::uint64_t scored = 0;   // scored by the definition
  ScreenCounts& operator+=(const ScreenCounts& other) noexcept {
    dropped += other.dropped;
    first += other.first;
    next += other.next;
    scored += other.scored;
    return *this;
  }
};

class ScreenCascade {
 public:
  ScreenCascade(PageBudget& budget, const plan::Shapes& shapes, const plan::TilePlan& plan,
                const kernels::TileKernel& kernel, const kernels::ScreenKernel& screen_kernel, Metric metric);

  // Takes on a tile's base rows, the first `shared` of which are the stripe's rows from `first_shared` on. The windows
  // are the tile's; they stay the caller's and must stay open while the tile's pairs are settled. `with_balls`: whether
  // rules_out() will be asked.
  void begin_tile(const screen::ScreenRows::Window& screen, DenseRows::Window& window, std::uint64_t columns,
                  const Stripe& stripe, std::uint64_t first_shared, std::uint64_t shared, bool with_balls);
  // The windows are no longer looked at.
  void end_tile() noexcept {
    screen_ = nullptr;
    window_ = nullptr;
  }
  const ScreenPanels& panels() const noexcept { return panels_; }
  // The first place in the tile of a row that the stripe's row at this place meets; the number of columns: none is.
  std::uint64_t first_place_met(std::uint64_t stripe_place) const noexcept;
  const kernels::ScreenKernel& kernel() const noexcept { return *screen_kernel_; }
  // Base panels are ruled out so many at a time.
  static constexpr std::uint32_t kPanelsOfABall = plan::ScreenShape::kPanelsOfABall;
  // Whether no pair of a stripe's panel, in its ball, and the base panels from `first_panel` on that share its ball can
  // have a bound of `limit` or more.
  bool rules_out(const ScreenBall& queries, std::uint32_t first_panel, double limit) const noexcept;
  void count_dropped(std::uint64_t pairs) noexcept { counts_.dropped += pairs; }

  // What a pair's bound is compared with: for l2 sums of a threshold and the other row's offset, as in
  // kernels::Strip; otherwise the weaker threshold.
  struct Limits {
    const float* query_thresholds;  // of each row of the stripe
    const float* base_thresholds;   // of each column of the tile
    const float* query_offsets;     // l2
    const float* base_offsets;      // l2
  };
  // Takes the kernel's list through the other stages: what is left of it are scores by the definition.
  void settle(const Stripe& stripe, const Limits& limits, kernels::Survivors& pairs);

  const ScreenCounts& counts() const noexcept { return counts_; }

 private:
  void enclose_panels();
  void place_shared_rows(const Stripe& stripe, std::uint64_t first_shared);
  void turn_places_into_rows(const Stripe& stripe, kernels::Survivors& pairs) const;
  void bound_by_more_coordinates(const Stripe& stripe, kernels::Survivors& pairs) const;
  void bound_by_rows(const Stripe& stripe, kernels::Survivors& pairs) const;
  void drop_decided(const Limits& limits, kernels::Survivors& pairs) const;
  void decode_bases(const kernels::Survivors& pairs);

  plan::ScreenShape shape_;
  std::uint32_t dims_;
  const kernels::TileKernel* kernel_;
  const kernels::ScreenKernel* screen_kernel_;
  bool is_l2_;
  ScreenPanels panels_;
  BudgetedMemory shared_places_;  // in the stripe, of the rows at the first places, ascending
  std::uint64_t shared_ = 0;
  BudgetedMemory rows_;     // the tile's base rows as the definition takes them, where decoded
  BudgetedMemory decoded_;  // a byte for each
  BudgetedMemory centres_;  // of the balls of base panels
  BudgetedMemory balls_;
  BudgetedMemory ones_;  // factors of rows that are scaled already
  bool all_loaded_ = false;
  const screen::ScreenRows::Window* screen_ = nullptr;
  DenseRows::Window* window_ = nullptr;
  std::uint64_t columns_ = 0;
  ScreenCounts counts_;
};

}  // namespace simtile::join
