// Where the kernel tells of the memory of this process's control groups, version 1 and 2.
#pragma once

#include <string>
#include <vector>

namespace simtile {

struct MemoryGroup {
  std::string mount;   // of its hierarchy
  std::string folder;  // below it, "" at the top; parents are its parent folders
  bool version_2 = false;

  std::string path() const { return mount + folder; }
};

// `root` stands before /proc and /sys, for tests.
std::vector<MemoryGroup> memory_groups(const std::string& root = "");

}  // namespace simtile
