#include "engine/memory/process_memory.h"

#include <algorithm>
#include <limits>
#include <string>
#include <string_view>

#include "engine/memory/kernel_file.h"
#include "simtile/job.h"

namespace simtile {
namespace {

constexpr std::uint64_t kNoLimit = std::numeric_limits<std::uint64_t>::max();

// The limits of a cgroup folder and all of its parents up to `root`.
std::uint64_t smallest_limit(const std::string& root, std::string folder, const std::string& file) {
  std::uint64_t smallest = kNoLimit;
  for (;;) {
    smallest = std::min(smallest, parse_kernel_number(read_kernel_file(root + folder + "/" + file), kNoLimit));
    const std::size_t slash = folder.rfind('/');
    if (slash == std::string::npos) return smallest;
    folder.resize(slash);
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
  // Lines are "id:controllers:folder"; v2 has an empty list of controllers.
  std::uint64_t smallest = kNoLimit;
  const std::string groups = read_kernel_file(root + "/proc/self/cgroup");
  for (std::size_t at = 0; at < groups.size();) {
    const std::size_t end = std::min(groups.find('\n', at), groups.size());
    const std::string_view line(groups.data() + at, end - at);
    at = end + 1;
    const std::size_t first = line.find(':');
    const std::size_t second = line.find(':', first + 1);
    if (first == std::string_view::npos || second == std::string_view::npos) continue;
    const std::string_view controllers = line.substr(first + 1, second - first - 1);
    std::string folder(line.substr(second + 1));
    if (folder == "/") folder.clear();
    if (controllers == "memory")
      smallest = std::min(smallest, smallest_limit(root + "/sys/fs/cgroup/memory", folder, "memory.limit_in_bytes"));
    else if (controllers.empty())
      smallest = std::min(smallest, smallest_limit(root + "/sys/fs/cgroup", folder, "memory.max"));
  }
  return smallest;
}

std::uint64_t available_memory_bytes(const std::string& root) {
  return kernel_field(read_kernel_file(root + "/proc/meminfo"), "MemAvailable:") * 1024;
}

std::uint64_t half_of_usable_memory_bytes(const std::string& root) {
  return std::min(cgroup_memory_limit_bytes(root), available_memory_bytes(root)) / 2;
}

std::uint64_t bytes_from_storage() { return kernel_field(read_kernel_file("/proc/self/io"), "read_bytes:"); }

std::uint64_t default_budget_bytes() { return half_of_usable_memory_bytes(); }

}  // namespace simtile
