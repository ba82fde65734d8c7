// Counters that all workers share: they lie in one mapping that the supervisor makes before it forks, a slot for each
// worker, so that any worker can answer /metrics for all, and a restarted worker goes on where the last one stopped.
//
// Threads and processes: everything is a relaxed atomic.
#pragma once

#include <sys/types.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "engine/base/os.h"

namespace simtile::tools::serve {

enum class Endpoint { kSearch, kNeighbours, kIndexes, kHealth, kReady, kMetrics, kOpenApi, kDocs, kOther };
inline constexpr std::size_t kEndpoints = 9;

enum class Shed { kQueueRequests, kQueueBytes, kDeadline, kDraining, kNotReady, kConnections };
inline constexpr std::size_t kSheds = 6;

inline constexpr std::array<unsigned, 14> kStatuses{200, 400, 401, 404, 405, 408, 413,
                                                    415, 417, 429, 431, 500, 503, 504};

using Counter = std::atomic<std::uint64_t>;
static_assert(Counter::is_always_lock_free, "or processes could not share it");

inline void add(Counter& counter, std::uint64_t by = 1) noexcept { counter.fetch_add(by, std::memory_order_relaxed); }
inline void set(Counter& gauge, std::uint64_t to) noexcept { gauge.store(to, std::memory_order_relaxed); }
inline std::uint64_t get(const Counter& counter) noexcept { return counter.load(std::memory_order_relaxed); }

// Upper limits of the buckets, in the histogram's unit; one more bucket is for all that is larger.
inline constexpr std::array<double, 15> kSecondsBuckets{0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,
                                                        0.25,   0.5,   1.0,    2.5,   5.0,  10.0,  30.0};
inline constexpr std::array<double, 15> kQueriesBuckets{1,   2,   4,    8,    16,   32,   64,   128,
                                                        256, 512, 1024, 2048, 4096, 8192, 16384};

struct Histogram {
  std::array<Counter, 16> buckets{};
  Counter sum_millionths{};
  void observe(std::span<const double, 15> limits, double value) noexcept;
};

struct WorkerMetrics {
  std::atomic<pid_t> pid{0};
  Counter ready{};
  Counter restarts{};
  std::array<std::array<Counter, kStatuses.size() + 1>, kEndpoints> responses{};  // the last: any other status
  std::array<Histogram, kEndpoints> request_seconds{};
  Histogram queue_seconds{}, pass_seconds{}, pass_queries{};
  std::array<Counter, kSheds> shed{};
  Counter rows_scanned{}, bytes_scanned{};
  Counter cache_hits{}, cache_misses{}, cache_bytes{};
  Counter connections{}, queue_requests{}, queue_bytes{};  // gauges
  Counter reloads{}, reload_failures{};
  std::array<Counter, 64> index_generation{};  // by the index's place on the command line
  std::array<Counter, 64> neighbours_generation{};
};
inline constexpr std::size_t kMostIndexes = 64;

void count_response(WorkerMetrics& metrics, Endpoint endpoint, unsigned status, double seconds) noexcept;

class SharedMetrics {
 public:
  explicit SharedMetrics(std::uint32_t workers);
  WorkerMetrics& worker(std::uint32_t number) const noexcept { return slots_[number]; }
  std::uint32_t workers() const noexcept { return workers_; }

 private:
  os::Mapping memory_;
  WorkerMetrics* slots_;
  std::uint32_t workers_;
};

// In the text format of Prometheus. Asks the kernel about each worker's memory, which takes milliseconds for each GiB
// mapped: not for the event loop.
std::string to_prometheus(const SharedMetrics& metrics, const std::vector<std::string>& index_names);

}  // namespace simtile::tools::serve
