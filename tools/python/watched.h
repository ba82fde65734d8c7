// Runs work of the engine in a thread of its own, while the calling thread, which alone may, looks after Python:
// signals (Ctrl-C is a KeyboardInterrupt here) and the progress callback. What either raises asks the work to stop, is
// held until it has, and then goes on its way.
#pragma once

#include <pybind11/pybind11.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "simtile/error.h"
#include "simtile/job.h"

namespace simtile::python {

class Watched {
 public:
  explicit Watched(pybind11::object on_progress) : on_progress_(std::move(on_progress)) {}

  const std::atomic<bool>* stop() const noexcept { return &stop_; }
  // For the work to call, from any thread.
  void report(const JobProgress& progress) {
    const std::lock_guard lock(mutex_);
    latest_ = progress;
  }

  // Call with Python's lock held.
  template <typename Work>
  void run(Work work) {
    std::thread worker([&] {
      try {
        work();
      } catch (...) {
        failure_ = std::current_exception();
      }
      const std::lock_guard lock(mutex_);
      finished_ = true;
      changed_.notify_all();
    });
    std::optional<pybind11::error_already_set> raised;
    while (!wait()) {
      if (raised) continue;
      raised = look_after_python();
      if (raised) stop_.store(true, std::memory_order_relaxed);
    }
    {
      const pybind11::gil_scoped_release unlocked;
      worker.join();
    }
    if (raised) throw std::move(*raised);
    if (failure_) std::rethrow_exception(failure_);
    if (std::optional<pybind11::error_already_set> late = call_progress()) throw std::move(*late);
  }

 private:
  static constexpr std::chrono::milliseconds kInterval{50};

  // Whether the work has finished.
  bool wait() {
    const pybind11::gil_scoped_release unlocked;
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kInterval, [&] { return finished_; });
  }

  std::optional<pybind11::error_already_set> look_after_python() {
    if (PyErr_CheckSignals() != 0) return pybind11::error_already_set();
    return call_progress();
  }

  std::optional<pybind11::error_already_set> call_progress() {
    if (on_progress_.is_none()) return std::nullopt;
    std::optional<JobProgress> progress;
    {
      const std::lock_guard lock(mutex_);
      progress = std::exchange(latest_, std::nullopt);
    }
    if (!progress) return std::nullopt;
    try {
      on_progress_(progress->rows_done, progress->rows_total);
    } catch (pybind11::error_already_set& error) {
      return std::move(error);
    }
    return std::nullopt;
  }

  pybind11::object on_progress_;
  std::atomic<bool> stop_{false};
  std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  std::optional<JobProgress> latest_;
  bool finished_ = false;
  std::exception_ptr failure_;  // the worker's until it has finished
};

}  // namespace simtile::python
