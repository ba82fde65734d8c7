#include "engine/memory/process_memory.h"

#include <algorithm>
#include <limits>
#include <string>

#include "engine/memory/cgroup.h"
#include "engine/memory/kernel_file.h"
#include "simtile/job.h"

namespace simtile {
namespace {

constexpr std::uint64_t kNoLimit = std::numeric_limits<std::uint64_t>::max();

// Of the group and all of its parents.
std::uint64_t smallest_limit(MemoryGroup group) {
  const std::string file = group.version_2 ? "/memory.max" : "/memory.limit_in_bytes";
  std::uint64_t smallest = kNoLimit;
  for (;;) {
    smallest = std::min(smallest, parse_kernel_number(read_kernel_file(group.path() + file), kNoLimit));
    const std::size_t slash = group.folder.rfind('/');
    if (slash == std::string::npos) return smallest;
    group.folder.resize(slash);
  }
}

}  // namespace

ProcessMemory read_process_memory() {
  thread_local std::string status;  // a running job asks again and again: its room is kept
  read_kernel_file("/proc/self/status", &status);
  return {kernel_field(status, "VmHWM:") * 1024, kernel_field(status, "VmRSS:") * 1024,
          kernel_field(status, "RssAnon:") * 1024,
          (kernel_field(status, "RssFile:") + kernel_field(status, "RssShmem:")) * 1024};
}

std::uint64_t cgroup_memory_limit_bytes(const std::string& root) {
  std::uint64_t smallest = kNoLimit;
  for (const MemoryGroup& group : memory_groups(root)) smallest = std::min(smallest, smallest_limit(group));
  return smallest;
}

std::uint64_t available_memory_bytes(const std::string& root) {
  return kernel_field(read_kernel_file(root + "/proc/meminfo"), "MemAvailable:") * 1024;
}

std::uint64_t half_of_usable_memory_bytes(const std::string& root) {
  return std::min(cgroup_memory_limit_bytes(root), available_memory_bytes(root)) / 2;
}

std::uint64_t bytes_from_storage() { return kernel_field(read_kernel_file("/proc/self/io"), "read_bytes:"); }

std::uint64_t bytes_to_storage() { return kernel_field(read_kernel_file("/proc/self/io"), "write_bytes:"); }

std::uint64_t default_budget_bytes() { return half_of_usable_memory_bytes(); }

}  // namespace simtile
