#pragma once

#include <algorithm>
#include <cstdint>

namespace simtile::screen {

// Whether to look at the next rows first: not where a look leaves so many pairs that scoring all of them costs less. To
// score one pair by the definition takes as long as about ten in a strip of rows, which a panel of queries shares.
// Failures one after another are each followed by about twice as many rows without a look. Threads: one at a time.
class LookPace {
 public:
  // Called once for each piece of rows.
  bool looks() noexcept {
    if (waiting_ == 0) return true;
    --waiting_;
    return false;
  }
  void on_look(std::uint64_t pairs_left, std::uint64_t pairs_in_panels) noexcept {
    constexpr std::uint64_t kPairsForOne = 10;
    constexpr std::uint32_t kLongest = 63;
    const bool pays = pairs_left * kPairsForOne <= pairs_in_panels;
    wait_ = pays ? 0 : std::min(2 * wait_ + 1, kLongest);
    waiting_ = wait_;
  }

 private:
  std::uint32_t wait_ = 0;
  std::uint32_t waiting_ = 0;
};

}  // namespace simtile::screen
