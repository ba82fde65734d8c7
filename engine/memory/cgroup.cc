#include "engine/memory/cgroup.h"

#include <algorithm>
#include <string_view>

#include "engine/memory/kernel_file.h"

namespace simtile {

std::vector<MemoryGroup> memory_groups(const std::string& root) {
  std::vector<MemoryGroup> found;
  // Lines are "id:controllers:folder"; version 2 has an empty list of controllers.
  const std::string groups = read_kernel_file(root + "/proc/self/cgroup");
  for (std::size_t at = 0; at < groups.size();) {
    const std::size_t end = std::min(groups.find('\n', at), groups.size());
    const std::string_view line(groups.data() + at, end - at);
    at = end + 1;
    const std::size_t first = line.find(':');
    const std::size_t second = first == std::string_view::npos ? first : line.find(':', first + 1);
    if (second == std::string_view::npos) continue;
    const std::string_view controllers = line.substr(first + 1, second - first - 1);
    std::string folder(line.substr(second + 1));
    if (folder == "/") folder.clear();
    if (controllers == "memory")
      found.push_back({root + "/sys/fs/cgroup/memory", folder, false});
    else if (controllers.empty())
      found.push_back({root + "/sys/fs/cgroup", folder, true});
  }
  return found;
}

}  // namespace simtile
