// The command line as a whole: its verbs, what all of them share, and the tree of options that --help, the man pages
// and the completions are made of.
#pragma once

#include <CLI/CLI.hpp>
#include <memory>
#include <utility>
#include <vector>

#include "tools/verb.h"

namespace simtile::tools {

struct ExitCode {
  int value;
  const char* meaning;
};
inline constexpr ExitCode kExitCodes[] = {{0, "done"},
                                          {1, "the work failed (I/O, disk full)"},
                                          {2, "wrong usage"},
                                          {3, "the input is corrupt"},
                                          {4, "the budget is too small"},
                                          {130, "interrupted"}};

struct CommandLine {
  std::unique_ptr<CLI::App> app;
  std::vector<std::pair<CLI::App*, Action>> actions;  // of each verb
};

// `version`: what --version prints.
CommandLine make_command_line(const std::string& version);

}  // namespace simtile::tools
