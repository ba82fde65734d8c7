// Progress on standard error: a bar with rate and time left on a terminal, a plain line now and then elsewhere.
//
// Threads: one at a time. Errors: none; where standard error cannot be written, progress is lost and the work goes on.
#pragma once

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "simtile/job.h"

namespace simtile::tools {

enum class ProgressStyle { kAuto, kBar, kPlain, kNone };

void add_progress(CLI::App& app, ProgressStyle* style);

class ProgressPrinter {
 public:
  explicit ProgressPrinter(ProgressStyle style);
  ProgressPrinter(const ProgressPrinter&) = delete;
  ProgressPrinter& operator=(const ProgressPrinter&) = delete;
  ~ProgressPrinter();

  void update(const JobProgress& progress);
  // For work without a plan; `rows_total` is 0 where nobody knows it.
  void update(std::uint64_t rows_done, std::uint64_t rows_total);
  // Takes the bar off the terminal; what is printed next starts on a clean line.
  void clear();

 private:
  using Clock = std::chrono::steady_clock;
  void show_bar(const std::string& text, double fraction);

  ProgressStyle style_;
  bool colors_ = false;
  bool bar_shown_ = false;
  bool at_end_ = false;
  Clock::time_point start_ = Clock::now();
  std::optional<Clock::time_point> last_shown_;
};

}  // namespace simtile::tools
