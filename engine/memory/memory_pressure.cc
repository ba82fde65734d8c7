// By the kernel's pressure stall information (Linux, Documentation/accounting/psi.rst) and a version 1 group's events
// (Documentation/admin-guide/cgroup-v1/memory.rst, "Memory Pressure").
#include <fcntl.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <charconv>
#include <optional>
#include <string>
#include <string_view>

#include "engine/base/clock.h"
#include "engine/base/os.h"
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

// Of level "medium": pages that are in use are given up. To stream a file through a small group is "low".
class MemoryPressure::GroupEvents {
 public:
  // Null where the kernel has no such events, or this process may not ask for them.
  static std::shared_ptr<GroupEvents> of(const std::string& group_path) {
    const std::string level_path = group_path + "/memory.pressure_level";
    const os::File level = os::File::adopt(::open(level_path.c_str(), O_RDONLY | O_CLOEXEC), level_path);
    const std::string control_path = group_path + "/cgroup.event_control";
    const os::File control = os::File::adopt(::open(control_path.c_str(), O_WRONLY | O_CLOEXEC), control_path);
    os::File counter = os::File::adopt(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), "memory pressure events");
    if (!level.is_open() || !control.is_open() || !counter.is_open()) return nullptr;
    const std::string line = std::to_string(counter.fd()) + ' ' + std::to_string(level.fd()) + " medium";
    if (::write(control.fd(), line.data(), line.size()) != static_cast<ssize_t>(line.size())) return nullptr;
    return std::shared_ptr<GroupEvents>(new GroupEvents(std::move(counter)));
  }

  bool were_lately() {
    constexpr double kLatelySeconds = 3.0;
    std::uint64_t count = 0;
    if (::read(counter_.fd(), &count, sizeof count) == sizeof count) last_ = Clock::now();
    return last_ && seconds_since(*last_) < kLatelySeconds;
  }

 private:
  explicit GroupEvents(os::File counter) : counter_(std::move(counter)) {}

  os::File counter_;
  std::optional<Clock::time_point> last_;
};

MemoryPressure::MemoryPressure(const std::string& root) : path_(root + "/proc/pressure/memory") {
  for (const MemoryGroup& group : memory_groups(root))
    if (group.version_2)
      path_ = nearest_file(group, "/memory.pressure").value_or(path_);
    else
      events_ = GroupEvents::of(group.path());
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
  tasks_wait_ = percent() >= (tasks_wait_ ? kNoLongerShort : kShort);
  return (events_ && events_->were_lately()) || tasks_wait_;
}

}  // namespace simtile
