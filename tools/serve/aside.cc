#include "tools/serve/aside.h"

#include <utility>

namespace simtile::tools::serve {

Aside::Aside(std::chrono::milliseconds period, std::function<void()> now_and_then)
    : period_(period), now_and_then_(std::move(now_and_then)), thread_([this] { work(); }) {}

Aside::~Aside() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

void Aside::run(std::function<void()> function) {
  {
    const std::lock_guard lock(mutex_);
    waiting_.push_back(std::move(function));
  }
  changed_.notify_one();
}

void Aside::work() {
  using Clock = std::chrono::steady_clock;
  Clock::time_point next = Clock::now() + period_;
  std::unique_lock lock(mutex_);
  const auto wanted = [this] { return stop_ || !waiting_.empty(); };
  for (;;) {
    if (period_.count() == 0)
      changed_.wait(lock, wanted);
    else
      changed_.wait_until(lock, next, wanted);
    if (stop_) return;
    std::function<void()> function = now_and_then_;
    if (!waiting_.empty()) {
      function = std::move(waiting_.front());
      waiting_.pop_front();
    } else {
      next = Clock::now() + period_;
    }
    lock.unlock();
    function();
    function = nullptr;
    lock.lock();
  }
}

}  // namespace simtile::tools::serve
