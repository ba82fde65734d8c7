// A thread for what would hold the event loop up: functions in the order they come, and one that runs now and then.
//
// Threads: run() from any. The destructor waits for what is running; what has not begun is dropped.
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

namespace simtile::tools::serve {

class Aside {
 public:
  // `now_and_then` runs whenever `period` has gone by; never when it is zero.
  Aside(std::chrono::milliseconds period, std::function<void()> now_and_then);
  Aside(const Aside&) = delete;
  Aside& operator=(const Aside&) = delete;
  ~Aside();

  void run(std::function<void()> function);

 private:
  void work();

  const std::chrono::milliseconds period_;
  const std::function<void()> now_and_then_;
  std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  std::deque<std::function<void()>> waiting_;
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace simtile::tools::serve
