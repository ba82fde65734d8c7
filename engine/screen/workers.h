// Who does the work of making a screen, and who may end it.
#pragma once

#include <atomic>
#include <cstdint>

#include "simtile/error.h"

namespace simtile::screen {

struct Workers {
  std::uint32_t threads = 1;
  const std::atomic<bool>* stop = nullptr;  // may be null

  bool stopped() const noexcept { return stop != nullptr && stop->load(std::memory_order_relaxed); }
  void throw_if_stopped() const {
    if (stopped())
      throw Error(ErrorCode::kInterrupted, "interrupted while the screen was made; run the same command again");
  }
};

}  // namespace simtile::screen
