// What the kernel says about memory: of this process, and of what it may use.
//
// Threads: all functions may be called from several threads at once. Figures that the kernel does not give are 0, or
// the largest value where they are limits.
#pragma once

#include <cstdint>
#include <string>

namespace simtile {

struct ProcessMemory {
  std::uint64_t peak_rss_bytes = 0;  // VmHWM: the most that was ever resident
  std::uint64_t rss_bytes = 0;       // VmRSS
  std::uint64_t rss_anon_bytes = 0;  // heap, stacks, buffers
  std::uint64_t rss_file_bytes = 0;  // mapped file pages, code included
};

ProcessMemory read_process_memory();

// `root` stands before /proc and /sys, for tests.
// The smallest memory limit among this process's cgroup (v1 and v2) and its parents.
std::uint64_t cgroup_memory_limit_bytes(const std::string& root = "");
// MemAvailable of the machine.
std::uint64_t available_memory_bytes(const std::string& root = "");
// Half of the smaller of the two.
std::uint64_t half_of_usable_memory_bytes(const std::string& root = "");
// Bytes that this process has made the storage deliver so far, by reading and by mapping (/proc/self/io, read_bytes):
// what the page cache held is not counted.
std::uint64_t bytes_from_storage();
// And bytes that it has given to be stored (write_bytes), whether they are on the disk by now or not.
std::uint64_t bytes_to_storage();

}  // namespace simtile
