// Keeps the largest anonymous and file-backed resident sizes seen, and the last. The kernel keeps a high-water mark of
// their sum alone (VmHWM), so the two are sampled, at most every kIntervalMs.
//
// Threads: one at a time.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

#include "engine/memory/process_memory.h"

namespace simtile::join {

class RssSampler {
 public:
  // Whether it was time to look.
  bool sample() {
    if (std::chrono::steady_clock::now() < next_) return false;
    sample_now();
    return true;
  }
  void sample_now() {
    last_ = read_process_memory();
    peak_anon_bytes_ = std::max(peak_anon_bytes_, last_.rss_anon_bytes);
    peak_file_bytes_ = std::max(peak_file_bytes_, last_.rss_file_bytes);
    next_ = std::chrono::steady_clock::now() + std::chrono::milliseconds(kIntervalMs);
  }
  const ProcessMemory& last() const noexcept { return last_; }
  std::uint64_t peak_anon_bytes() const noexcept { return peak_anon_bytes_; }
  std::uint64_t peak_file_bytes() const noexcept { return peak_file_bytes_; }

 private:
  static constexpr int kIntervalMs = 50;
  std::chrono::steady_clock::time_point next_{};
  ProcessMemory last_;
  std::uint64_t peak_anon_bytes_ = 0;
  std::uint64_t peak_file_bytes_ = 0;
};

}  // namespace simtile::join
