// What a process may use, and whether that is short, as the kernel's files tell it: cgroup v1 and v2, nested, and the
// machine's own memory.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iostream>
#include <string>

#include "engine/memory/process_memory.h"
#include "simtile/memory.h"
#include "tests/test_files.h"

namespace simtile::tests {
namespace {

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;
constexpr std::uint64_t kNoLimit = UINT64_MAX;

// A folder that stands in for the root of the file system.
class KernelFiles {
 public:
  KernelFiles& with(const std::string& path, const std::string& text) {
    std::filesystem::create_directories(std::filesystem::path(root() + path).parent_path());
    write_bytes(root() + path, text + "\n");
    return *this;
  }
  KernelFiles& with_available(std::uint64_t bytes) {
    return with("/proc/meminfo", "MemTotal: 99999999 kB\nMemAvailable: " + std::to_string(bytes / 1024) + " kB");
  }
  std::string root() const { return folder_.path(); }

 private:
  TempFolder folder_;
};

TEST(MemoryLimits, Version2TakesTheSmallestOfTheGroupAndItsParents) {
  KernelFiles files;
  files.with("/proc/self/cgroup", "0::/a/b").with("/sys/fs/cgroup/a/b/memory.max", "max");
  EXPECT_EQ(cgroup_memory_limit_bytes(files.root()), kNoLimit);
  files.with("/sys/fs/cgroup/a/memory.max", std::to_string(300 * kMiB));
  EXPECT_EQ(cgroup_memory_limit_bytes(files.root()), 300 * kMiB);
  files.with("/sys/fs/cgroup/a/b/memory.max", std::to_string(200 * kMiB));
  EXPECT_EQ(cgroup_memory_limit_bytes(files.root()), 200 * kMiB);
}

TEST(MemoryLimits, Version1ReadsTheMemoryControllerAlone) {
  KernelFiles files;
  files.with("/proc/self/cgroup", "5:cpu:/other\n4:memory:/job/7\n0::/")
      .with("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712")
      .with("/sys/fs/cgroup/memory/job/7/memory.limit_in_bytes", std::to_string(64 * kMiB))
      .with("/sys/fs/cgroup/memory/other/memory.limit_in_bytes", std::to_string(kMiB));
  EXPECT_EQ(cgroup_memory_limit_bytes(files.root()), 64 * kMiB);
}

// In a container the group's path may be the host's, which cannot be seen; the mount is the container's own group.
TEST(MemoryLimits, AContainersOwnGroupIsAtTheMount) {
  KernelFiles files;
  files.with("/proc/self/cgroup", "4:memory:/docker/0123")
      .with("/sys/fs/cgroup/memory/memory.limit_in_bytes", std::to_string(512 * kMiB));
  EXPECT_EQ(cgroup_memory_limit_bytes(files.root()), 512 * kMiB);
}

TEST(MemoryLimits, TheBudgetIsHalfOfTheSmallerOfTheLimitAndWhatIsAvailable) {
  KernelFiles files;
  files.with_available(1000 * kMiB);
  EXPECT_EQ(half_of_usable_memory_bytes(files.root()), 500 * kMiB) << "without any group";
  files.with("/proc/self/cgroup", "0::/a").with("/sys/fs/cgroup/a/memory.max", std::to_string(100 * kMiB));
  EXPECT_EQ(half_of_usable_memory_bytes(files.root()), 50 * kMiB);
  files.with_available(60 * kMiB);
  EXPECT_EQ(half_of_usable_memory_bytes(files.root()), 30 * kMiB);
}

std::string pressure(const std::string& percent) {
  return "some avg10=" + percent + " avg60=0.00 avg300=0.00 total=7\nfull avg10=99.00 avg60=0.00 avg300=0.00 total=7";
}

TEST(MemoryPressure, MemoryIsShortFromATenthUntilHalfOfThat) {
  KernelFiles files;
  MemoryPressure is_short(files.root());
  EXPECT_FALSE(is_short()) << "a kernel that does not count it";
  for (const auto& [percent, expected] : {std::pair{"9.99", false},
                                          {"10.00", true},
                                          {"5.01", true},
                                          {"4.99", false},
                                          {"9.00", false},
                                          {"55.5", true},
                                          {"0.00", false}}) {
    files.with("/proc/pressure/memory", pressure(percent));
    EXPECT_EQ(is_short(), expected) << percent;
  }
}

TEST(MemoryPressure, TheGroupsOwnIsAskedWhereThereIsOne) {
  KernelFiles files;
  files.with("/proc/pressure/memory", pressure("80.00")).with("/proc/self/cgroup", "4:memory:/old\n0::/a");
  EXPECT_TRUE(MemoryPressure(files.root())());
  files.with("/sys/fs/cgroup/memory.pressure", pressure("2.50"));
  EXPECT_EQ(MemoryPressure(files.root()).percent(), 2.50) << "in a container: its own group, at the mount";
  files.with("/sys/fs/cgroup/a/memory.pressure", pressure("1.25"));
  EXPECT_EQ(MemoryPressure(files.root()).percent(), 1.25);
  EXPECT_FALSE(MemoryPressure(files.root())());
}

// A group of version 1 below this process's own.
class MemoryGroup1 {
 public:
  explicit MemoryGroup1(std::uint64_t limit_bytes) {
    std::string line;
    for (std::ifstream groups("/proc/self/cgroup"); std::getline(groups, line);)
      if (const std::size_t at = line.find(":memory:"); at != std::string::npos)
        path_ = "/sys/fs/cgroup/memory" + line.substr(at + 8) + "/simtile-test-" + std::to_string(::getpid());
    if (path_.empty() || ::mkdir(path_.c_str(), 0755) != 0) return;
    std::ofstream(path_ + "/memory.limit_in_bytes") << limit_bytes;
    made_ = std::filesystem::exists(path_ + "/memory.pressure_level");
  }
  ~MemoryGroup1() {
    if (!path_.empty()) ::rmdir(path_.c_str());
  }
  MemoryGroup1(const MemoryGroup1&) = delete;
  MemoryGroup1& operator=(const MemoryGroup1&) = delete;
  bool is_there() const { return made_; }
  void enter() const { std::ofstream(path_ + "/cgroup.procs") << ::getpid(); }

 private:
  std::string path_;
  bool made_ = false;
};

// Pages of a file that do not fit are read again and again.
void thrash(const std::string& path, std::uint64_t bytes) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  const auto* pages = static_cast<const char*>(::mmap(nullptr, bytes, PROT_READ, MAP_SHARED, fd, 0));
  volatile char sum = 0;
  for (int turn = 0; turn < 4; ++turn)
    for (std::uint64_t at = 0; at < bytes; at += 4096) sum = static_cast<char>(sum + pages[at]);
  ::munmap(const_cast<char*>(pages), bytes);
  ::close(fd);
}

// The kernel's own events, where this process may make such a group (root, cgroup v1); elsewhere the files above are
// all there is to ask.
TEST(MemoryPressure, AVersion1GroupTellsOfItsOwnAndOfItsEnd) {
  const MemoryGroup1 group(32 * kMiB);
  const TempFolder folder;
  struct ::statfs files {};
  ASSERT_EQ(::statfs(folder.path().c_str(), &files), 0);
  if (!group.is_there() || files.f_type == TMPFS_MAGIC) {  // whose pages cannot be given up
    std::cout << "no group of version 1 may be made here, or no files on a disk: its events were not tried\n";
    return;
  }
  write_bytes(folder / "file", "");
  std::filesystem::resize_file(folder / "file", 64 * kMiB);  // its pages are charged to who reads them first
  const pid_t child = ::fork();
  if (child == 0) {
    group.enter();
    MemoryPressure is_short;
    if (is_short()) ::_exit(1);
    thrash(folder / "file", 64 * kMiB);
    if (!is_short()) ::_exit(2);
    ::sleep(3);
    ::_exit(is_short() ? 3 : 0);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0) << "1: before, 2: not during, 3: still after";
}

}  // namespace
}  // namespace simtile::tests
