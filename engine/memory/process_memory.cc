#include "engine/memory/process_memory.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <limits>
#include <string>
#include <string_view>

#include "simtile/job.h"

namespace simtile {
namespace {

constexpr std::uint64_t kNoLimit = std::numeric_limits<std::uint64_t>::max();

// Kernel files are small and have no size of their own; an unreadable one reads as empty.
void read_kernel_file(const char* path, std::string* text) {
  text->clear();
  const int fd = ::open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return;
  char piece[4096];
  for (ssize_t n; (n = ::read(fd, piece, sizeof piece)) > 0;) text->append(piece, static_cast<std::size_t>(n));
  ::close(fd);
}

std::string read_kernel_file(const std::string& path) {
  std::string text;
  read_kernel_file(path.c_str(), &text);
  return text;
}

std::uint64_t parse_number(std::string_view text, std::uint64_t otherwise) {
  const std::size_t start = text.find_first_not_of(" \t");
  if (start == std::string_view::npos) return otherwise;
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data() + start, text.data() + text.size(), value);
  return error == std::errc{} && end != text.data() + start ? value : otherwise;
}

// The number behind "key" at the start of a line, or 0.
std::uint64_t field(std::string_view text, std::string_view key) {
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    if (text.substr(at, key.size()) == key) return parse_number(text.substr(at + key.size(), end - at - key.size()), 0);
    at = end + 1;
  }
  return 0;
}

// The limits of a cgroup folder and all of its parents up to `root`.
std::uint64_t smallest_limit(const std::string& root, std::string folder, const std::string& file) {
  std::uint64_t smallest = kNoLimit;
  for (;;) {
    smallest = std::min(smallest, parse_number(read_kernel_file(root + folder + "/" + file), kNoLimit));
    const std::size_t slash = folder.rfind('/');
    if (slash == std::string::npos) return smallest;
    folder.resize(slash);
  }
}

}  // namespace

ProcessMemory read_process_memory() {
  thread_local std::string status;  // a running job asks again and again: its room is kept
  read_kernel_file("/proc/self/status", &status);
  return {field(status, "VmHWM:") * 1024, field(status, "VmRSS:") * 1024, field(status, "RssAnon:") * 1024,
          (field(status, "RssFile:") + field(status, "RssShmem:")) * 1024};
}

std::uint64_t cgroup_memory_limit_bytes() {
  // Lines are "id:controllers:folder"; v2 has an empty list of controllers.
  std::uint64_t smallest = kNoLimit;
  const std::string groups = read_kernel_file("/proc/self/cgroup");
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
      smallest = std::min(smallest, smallest_limit("/sys/fs/cgroup/memory", folder, "memory.limit_in_bytes"));
    else if (controllers.empty())
      smallest = std::min(smallest, smallest_limit("/sys/fs/cgroup", folder, "memory.max"));
  }
  return smallest;
}

std::uint64_t available_memory_bytes() { return field(read_kernel_file("/proc/meminfo"), "MemAvailable:") * 1024; }

std::uint64_t bytes_read_by_process() { return field(read_kernel_file("/proc/self/io"), "rchar:"); }

std::uint64_t default_budget_bytes() { return std::min(cgroup_memory_limit_bytes(), available_memory_bytes()) / 2; }

}  // namespace simtile
