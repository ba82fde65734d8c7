// Time that passes, for reports and for when to put work by.
#pragma once

#include <chrono>

namespace simtile {

using Clock = std::chrono::steady_clock;

inline double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

}  // namespace simtile
