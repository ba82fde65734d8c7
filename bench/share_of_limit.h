// A rate beside a limit of the machine, the better of two measurements of it: before the work and after it.
#pragma once

#include <benchmark/benchmark.h>

#include <algorithm>
#include <functional>
#include <utility>

#include "bench/machine_limits.h"

namespace simtile::bench {

inline void report_rate(benchmark::State& state, const char* name, double per_iteration) {
  state.counters[name] =
      benchmark::Counter(per_iteration, benchmark::Counter::kIsIterationInvariantRate, benchmark::Counter::kIs1000);
}

// Made before the benchmark's loop, by the thread that runs it.
class ShareOfLimit {
 public:
  explicit ShareOfLimit(std::function<double()> measure_limit)
      : measure_limit_(std::move(measure_limit)), before_(measure_limit_()), start_(thread_seconds()) {}

  void report(benchmark::State& state, const char* name, double per_iteration) const {
    const double seconds = thread_seconds() - start_;
    const double rate = per_iteration * static_cast<double>(state.iterations()) / seconds;
    state.counters[name] = rate / std::max(before_, measure_limit_());
  }

 private:
  std::function<double()> measure_limit_;
  double before_;
  double start_;
};

}  // namespace simtile::bench
