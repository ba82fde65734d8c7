#include "tools/stop_signal.h"

#include <csignal>

#include "simtile/error.h"

namespace simtile::tools {
namespace {

std::atomic<bool> g_stop{false};
static_assert(std::atomic<bool>::is_always_lock_free, "or a signal handler may not touch it");

}  // namespace

const std::atomic<bool>& stop_on_signals() {
  struct sigaction action {};
  action.sa_handler = [](int) { g_stop.store(true, std::memory_order_relaxed); };
  // Supervisors may send SIGTERM twice, to the process and to its group; a second Ctrl-C is a person who will not wait.
  ::sigaction(SIGTERM, &action, nullptr);
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  ::sigaction(SIGINT, &action, nullptr);
  return g_stop;
}

bool is_stopped() noexcept { return g_stop.load(std::memory_order_relaxed); }

void throw_if_stopped(const std::string& what_next) {
  if (is_stopped()) throw Error(ErrorCode::kInterrupted, "interrupted; " + what_next);
}

}  // namespace simtile::tools
