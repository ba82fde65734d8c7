// What a simtile_stop handle is.
#pragma once

#include <atomic>

#include "simtile/simtile.h"

struct simtile_stop {
  std::atomic<bool> requested{false};
};
