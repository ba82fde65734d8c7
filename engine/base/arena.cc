#include "engine/base/arena.h"

#include <unistd.h>

#include <atomic>

namespace simtile {

bool has_lost_threads() noexcept {
  static std::atomic<pid_t> first_to_ask{0};
  pid_t first = 0;
  return !first_to_ask.compare_exchange_strong(first, ::getpid()) && first != ::getpid();
}

}  // namespace simtile
