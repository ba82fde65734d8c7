// By the kernel's pressure stall information: Linux, Documentation/accounting/psi.rst.
#include <charconv>
#include <optional>
#include <string>
#include <string_view>

#include "engine/memory/cgroup.h"
#include "engine/memory/kernel_file.h"
#include "simtile/memory.h"

namespace simtile {
namespace {

// Percent of the last ten seconds in which some task waited for memory.
constexpr double kShort = 10.0;
constexpr double kNoLongerShort = 5.0;

// The group's, or that of the nearest parent that can be seen: in a container its own group is at the mount.
std::optional<std::string> nearest_file(MemoryGroup group, const std::string& name) {
  for (;;) {
    if (!read_kernel_file(group.path() + name).empty()) return group.path() + name;
    const std::size_t slash = group.folder.rfind('/');
    if (slash == std::string::npos) return std::nullopt;
    group.folder.resize(slash);
  }
}

}  // namespace

MemoryPressure::MemoryPressure(const std::string& root) : path_(root + "/proc/pressure/memory") {
  for (const MemoryGroup& group : memory_groups(root))
    if (group.version_2) path_ = nearest_file(group, "/memory.pressure").value_or(path_);
}

double MemoryPressure::percent() const {
  constexpr std::string_view kAverage = "some avg10=";
  const std::string text = read_kernel_file(path_);
  const std::size_t at = text.find(kAverage);
  double value = 0.0;
  if (at != std::string::npos) std::from_chars(text.data() + at + kAverage.size(), text.data() + text.size(), value);
  return value;
}

bool MemoryPressure::operator()() {
  is_short_ = percent() >= (is_short_ ? kNoLongerShort : kShort);
  return is_short_;
}

}  // namespace simtile
