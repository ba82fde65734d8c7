#include "engine/base/bus_guard.h"

#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdint>

#include "engine/base/checked.h"
#include "engine/base/os.h"

namespace simtile::os {

// A window holds its slot from guard_window() to unguard_window(); begin is 0 while the slot is free.
struct GuardedWindow {
  std::atomic<std::uintptr_t> begin{0};
  std::atomic<std::uintptr_t> end{0};
  std::atomic<bool> lost_pages{false};
};

namespace {

// Slots are never freed, so that the handler may walk them without a lock.
struct Slots {
  GuardedWindow windows[64];
  std::atomic<Slots*> next{nullptr};
};

constinit Slots g_slots;
struct sigaction g_previous_action;

// A slot that is taken and shows no window yet.
constexpr std::uintptr_t kReserved = 1;
static_assert(std::atomic<std::uintptr_t>::is_always_lock_free, "the handler must not wait");

GuardedWindow* take_free_slot(Slots& slots) noexcept {
  for (GuardedWindow& window : slots.windows) {
    std::uintptr_t expected = 0;
    if (window.begin.load(std::memory_order_relaxed) == 0 &&
        window.begin.compare_exchange_strong(expected, kReserved, std::memory_order_acquire))
      return &window;
  }
  return nullptr;
}

GuardedWindow* take_slot() {
  for (Slots* slots = &g_slots;;) {
    if (GuardedWindow* window = take_free_slot(*slots)) return window;
    Slots* next = slots->next.load(std::memory_order_acquire);
    if (next == nullptr) {
      auto* made = new Slots;
      if (slots->next.compare_exchange_strong(next, made, std::memory_order_acq_rel))
        next = made;
      else
        delete made;
    }
    slots = next;
  }
}

bool replace_lost_pages(GuardedWindow& window, void* fault) noexcept {
  const auto address = reinterpret_cast<std::uintptr_t>(fault);
  const std::uintptr_t begin = window.begin.load(std::memory_order_acquire);
  const std::uintptr_t end = window.end.load(std::memory_order_acquire);
  if (begin <= kReserved || address < begin || address >= end) return false;
  // A slot that has changed hands meanwhile could show one window's begin and another's end.
  if (window.begin.load(std::memory_order_relaxed) != begin) return false;
  std::byte* const page = static_cast<std::byte*>(fault) - address % kPageBytes;
  const std::size_t bytes = round_up(end, kPageBytes) - (address - address % kPageBytes);
  // First the mark: another thread may read the zeros as soon as they are there, and asks for the mark afterwards.
  window.lost_pages.store(true, std::memory_order_release);
  // The bare call: a library's mmap() is not said to be safe in a handler, and the thread sanitizer's takes replacing a
  // page for a write to it, a race with whoever else is touching it.
  constexpr int kFlags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE;
  return ::syscall(SYS_mmap, page, bytes, PROT_READ, kFlags, -1, 0) == reinterpret_cast<long>(page);
}

bool replace_lost_pages_at(void* fault) noexcept {
  for (Slots* slots = &g_slots; slots != nullptr; slots = slots->next.load(std::memory_order_acquire))
    for (GuardedWindow& window : slots->windows)
      if (replace_lost_pages(window, fault)) return true;
  return false;
}

void pass_on(int signal, siginfo_t* info, void* context) {
  if ((g_previous_action.sa_flags & SA_SIGINFO) != 0) {
    g_previous_action.sa_sigaction(signal, info, context);
  } else if (g_previous_action.sa_handler != SIG_DFL && g_previous_action.sa_handler != SIG_IGN) {
    g_previous_action.sa_handler(signal);
  } else {
    // Raised again, by the same instruction or by us, it now takes its usual course.
    ::sigaction(signal, &g_previous_action, nullptr);
    if (info->si_code <= 0) ::raise(signal);
  }
}

void on_bus_error(int signal, siginfo_t* info, void* context) {
  const int error = errno;
  const bool touched_missing_page = info->si_code == BUS_ADRERR;
  if (!touched_missing_page || !replace_lost_pages_at(info->si_addr)) pass_on(signal, info, context);
  errno = error;
}

bool install_handler() noexcept {
  struct sigaction action {};
  action.sa_sigaction = on_bus_error;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  ::sigemptyset(&action.sa_mask);
  return ::sigaction(SIGBUS, &action, &g_previous_action) == 0;
}

}  // namespace

GuardedWindow* guard_window(void* data, std::size_t bytes) {
  [[maybe_unused]] static const bool installed = install_handler();
  GuardedWindow* const window = take_slot();
  window->lost_pages.store(false, std::memory_order_relaxed);
  // Whoever sees the new end sees that the old begin is gone.
  window->end.store(reinterpret_cast<std::uintptr_t>(data) + bytes, std::memory_order_release);
  window->begin.store(reinterpret_cast<std::uintptr_t>(data), std::memory_order_release);
  return window;
}

bool lost_pages(const GuardedWindow& window) noexcept { return window.lost_pages.load(std::memory_order_acquire); }

void unguard_window(GuardedWindow* window) noexcept { window->begin.store(0, std::memory_order_release); }

}  // namespace simtile::os
