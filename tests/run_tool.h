// Runs the command line tool as a user does and gives what it printed and how it ended.
#pragma once

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/test_files.h"

namespace simtile::tests {

struct ToolResult {
  int exit_code = -1;  // 128 + the signal where one ended the tool
  std::string out, err;
  std::uint64_t peak_rss_bytes = 0;  // as the kernel counts it (VmHWM), or this process's own where that is larger
};

// A running tool; its output goes to files, so that it can never block on a pipe that nobody reads. It never outlives
// this object, nor the thread that started it: a server left behind would hold the test runner's pipe open for good.
class Tool {
 public:
  // `environment`: "NAME=value" each. `stdout_path` empty: captured.
  explicit Tool(std::vector<std::string> arguments, const std::vector<std::string>& environment = {},
                const std::string& stdout_path = "")
      : stdout_path_(stdout_path.empty() ? folder_ / "out" : stdout_path) {
    arguments.insert(arguments.begin(), SIMTILE_TOOL);
    pid_ = ::fork();
    if (pid_ < 0) throw std::runtime_error("cannot fork");
    if (pid_ == 0) run(arguments, environment);
  }
  ~Tool() {
    if (ended_) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  Tool(const Tool&) = delete;
  Tool& operator=(const Tool&) = delete;

  pid_t pid() const { return pid_; }
  // What it has written to standard error so far.
  std::string err() const { return read_bytes(folder_ / "err"); }

  ToolResult wait() {
    int status = 0;
    rusage usage{};
    if (::wait4(pid_, &status, 0, &usage) != pid_) throw std::runtime_error("cannot wait");
    ended_ = true;
    ToolResult result;
    result.peak_rss_bytes = static_cast<std::uint64_t>(usage.ru_maxrss) * 1024;
    result.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    if (stdout_path_ == folder_ / "out") result.out = read_bytes(stdout_path_);
    result.err = read_bytes(folder_ / "err");
    return result;
  }

 private:
  [[noreturn]] void run(const std::vector<std::string>& arguments, const std::vector<std::string>& environment) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (const char* name : {"SIMTILE_BUDGET", "SIMTILE_THREADS"}) ::unsetenv(name);
    for (const std::string& setting : environment) {
      const std::size_t equals = setting.find('=');
      ::setenv(setting.substr(0, equals).c_str(), setting.substr(equals + 1).c_str(), 1);
    }
    redirect(stdout_path_, STDOUT_FILENO);
    redirect(folder_ / "err", STDERR_FILENO);
    std::vector<char*> words;
    for (const std::string& argument : arguments) words.push_back(const_cast<char*>(argument.c_str()));
    words.push_back(nullptr);
    ::execv(words[0], words.data());
    ::_exit(126);
  }

  static void redirect(const std::string& path, int fd) {
    const int opened = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0666);
    if (opened < 0 || ::dup2(opened, fd) < 0) ::_exit(125);
  }

  TempFolder folder_;
  std::string stdout_path_;
  pid_t pid_ = -1;
  bool ended_ = false;
};

inline ToolResult run_tool(const std::vector<std::string>& arguments, const std::vector<std::string>& environment = {},
                           const std::string& stdout_path = "") {
  return Tool(arguments, environment, stdout_path).wait();
}

}  // namespace simtile::tests
