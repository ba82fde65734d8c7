// What the kernel says of memory: a process's, and how much of a file is in the page cache.
//
// Threads: may be called from several threads at once. Figures that the kernel does not give are 0.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

namespace simtile {

struct MemoryOfProcess {
  std::uint64_t rss_bytes = 0;       // VmRSS: resident, shared pages in full
  std::uint64_t peak_rss_bytes = 0;  // VmHWM
  std::uint64_t rss_anon_bytes = 0;  // of it heap, stacks, buffers
  std::uint64_t rss_file_bytes = 0;  // of it pages of mapped files, code and shared memory
  std::uint64_t pss_bytes = 0;       // proportional: a page that n processes map counts 1/n; needs the right to trace
  std::uint64_t pss_anon_bytes = 0;
  std::uint64_t pss_file_bytes = 0;
  std::uint64_t private_bytes = 0;     // what would be freed if this process alone went away
  std::uint64_t page_table_bytes = 0;  // VmPTE; counted in none of the above
  std::uint64_t locked_bytes = 0;      // VmLck
  std::uint64_t swap_bytes = 0;        // VmSwap
};

// Nothing when there is no such process. Walks the process's pages: some milliseconds for each GiB that it maps.
std::optional<MemoryOfProcess> memory_of_process(int pid);

struct MemoryOfFile {
  std::uint64_t file_bytes = 0;
  std::uint64_t cached_bytes = 0;     // in the page cache, by cachestat or else mincore
  std::uint64_t dirty_bytes = 0;      // of it not on disk yet; cachestat alone
  std::uint64_t writeback_bytes = 0;  // of it on the way to the disk; cachestat alone
  bool by_cachestat = false;
};

// Throws Error(kIo).
MemoryOfFile memory_of_file(const std::string& path);

// Whether memory is short: tasks of this process's control group (version 2), or else of the machine, have waited for
// memory for a tenth of the last ten seconds; until they wait for less than half of that. Or the kernel told of
// pressure in this process's group (version 1, which this process may write to) less than three seconds ago. Never on
// kernels that do neither. For JobOptions::memory_is_short. Threads: one at a time; copies share the group's events.
class MemoryPressure {
 public:
  // `root` stands before /proc and /sys, for tests.
  explicit MemoryPressure(const std::string& root = "");
  bool operator()();
  // Of the last ten seconds, by the same file.
  double percent() const;

 private:
  class GroupEvents;

  std::string path_;
  bool tasks_wait_ = false;
  std::shared_ptr<GroupEvents> events_;
};

}  // namespace simtile
