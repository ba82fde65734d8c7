// What the kernel says about memory: of this process, and of what it may use.
//
// Threads: all functions may be called from several threads at once. Figures that the kernel does not give are 0, or
// the largest value where they are limits.
#pragma once

#include <cstdint>

namespace simtile {

struct ProcessMemory {
  std::uint64_t peak_rss_bytes = 0;  // VmHWM: the most that was ever resident
  std::uint64_t rss_bytes = 0;       // VmRSS
  std::uint64_t rss_anon_bytes = 0;  // heap, stacks, buffers
  std::uint64_t rss_file_bytes = 0;  // mapped file pages, code included
};

ProcessMemory read_process_memory();

// The smallest memory limit among this process's cgroup (v1 and v2) and its parents.
std::uint64_t cgroup_memory_limit_bytes();
// MemAvailable of the machine.
std::uint64_t available_memory_bytes();
// Bytes that this process has read from storage and the page cache through read calls (/proc/self/io rchar).
std::uint64_t bytes_read_by_process();

}  // namespace simtile
