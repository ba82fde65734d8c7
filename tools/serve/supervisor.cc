#include "tools/serve/supervisor.h"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <fstream>
#include <string>
#include <vector>

#include "simtile/error.h"
#include "simtile/matrix.h"
#include "simtile/neighbours.h"
#include "tools/serve/log.h"
#include "tools/serve/metrics.h"
#include "tools/serve/sockets.h"
#include "tools/serve/worker.h"

namespace simtile::tools::serve {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr milliseconds kFirstDelay{100}, kLongestDelay{10'000};
constexpr milliseconds kLivedWell{10'000};  // a worker that lived so long begins with the first delay again
constexpr milliseconds kKillAfterDrain{5'000};

// What can be found out before there is a worker is said at once, with the exit code that it deserves.
void check_files(const ServeOptions& options) {
  constexpr OpenOptions kLook{.mode = OpenMode::kFast, .access = Access::kStreamed};
  for (const IndexOptions& index : options.indexes) {
    const MatrixInfo base = Matrix(index.base_path, kLook).info();
    if (base.sparse)
      throw Error(ErrorCode::kInvalidArgument,
                  "'" + index.base_path + "' is sparse, and simtile serves dense matrices; import it with --dims");
    if (index.neighbours_path.empty()) continue;
    const NeighboursInfo neighbours = Neighbours(index.neighbours_path, kLook).info();
    if (neighbours.base_identity != base.identity)
      throw Error(ErrorCode::kInvalidArgument, "'" + index.neighbours_path + "' was not made from '" + index.base_path +
                                                   "'; run the join or search again");
  }
}

std::string read_token(const std::string& path) {
  if (path.empty()) return {};
  std::ifstream file(path);
  std::string token;
  std::getline(file, token);
  while (!token.empty() && (token.back() == '\r' || token.back() == ' ')) token.pop_back();
  if (token.empty())
    throw Error(ErrorCode::kInvalidArgument, "the token file '" + path + "' cannot be read or its first line is empty");
  return token;
}

class Supervisor {
 public:
  explicit Supervisor(const ServeOptions& options)
      : options_(options),
        token_(read_token(options.token_path)),
        log_(options.json_logs),
        metrics_(options.workers),
        workers_(options.workers) {
    check_files(options);
    if (options.tcp) {
      bind_tcp(options.address, options.port, false);  // says when somebody else has the port
      reservation_ = bind_tcp(options.address, options.port, true);
    }
    if (!options.unix_socket_path.empty()) unix_listener_ = listen_unix(options.unix_socket_path);
    ::sigemptyset(&signals_);
    for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGCHLD}) ::sigaddset(&signals_, signal);
    ::sigprocmask(SIG_BLOCK, &signals_, &signals_before_);
  }

  ~Supervisor() {
    if (!options_.unix_socket_path.empty()) ::unlink(options_.unix_socket_path.c_str());
    ::sigprocmask(SIG_SETMASK, &signals_before_, nullptr);
  }

  int run() {
    announce();
    for (std::uint32_t number = 0; number < options_.workers; ++number) start(number, false);
    for (;;) {
      const int signal = wait_for_signal();
      look_who_is_ready();
      if (signal == SIGHUP) send_to_all(SIGHUP);
      if (signal == SIGTERM || signal == SIGINT) stop(signal);
      reap();
      restart_those_due();
      if (stopping_ && none_left()) break;
      if (stopping_ && Clock::now() >= kill_at_) send_to_all(SIGKILL);
    }
    log_.info("stopped");
    return killed_ || failed_to_start_ ? 1 : 0;
  }

 private:
  struct Child {
    pid_t pid = 0;  // 0: not running
    Clock::time_point started, start_at = Clock::time_point::max();
    milliseconds delay = kFirstDelay;
    bool was_ready = false;  // once, itself or a process before it
  };

  void announce() {
    log_.info("serving", {{"workers", options_.workers},
                          {"address", options_.tcp ? nlohmann::json(options_.address) : nlohmann::json()},
                          {"port", options_.tcp ? nlohmann::json(port_of(reservation_)) : nlohmann::json()},
                          {"unix_socket", options_.unix_socket_path}});
  }

  // The new process never returns from here.
  void start(std::uint32_t number, bool is_restart) {
    Child& child = workers_[number];
    const pid_t supervisor = ::getpid();
    child.started = Clock::now();
    child.start_at = Clock::time_point::max();
    child.pid = ::fork();
    if (child.pid < 0) {
      child.pid = 0;
      log_.error("cannot start a worker", {{"worker", number}});
      schedule(child);
      return;
    }
    if (child.pid > 0) return;
    if (::getppid() != supervisor) ::_exit(1);
    ::signal(SIGINT, SIG_IGN);  // Ctrl-C reaches the whole group, and the supervisor says what becomes of it
    const WorkerTask task{&options_,
                          &metrics_,
                          number,
                          token_,
                          options_.tcp ? port_of(reservation_) : -1,
                          options_.unix_socket_path.empty() ? -1 : unix_listener_.fd(),
                          is_restart,
                          signals_before_};
    const int code = run_worker(task, log_);
    ::_exit(code);  // the supervisor's own cleaning up is not the worker's to do
  }

  // 0 when it is time to look after the workers.
  int wait_for_signal() {
    Clock::time_point due = Clock::now() + milliseconds(1000);
    for (const Child& child : workers_) due = std::min(due, child.start_at);
    if (stopping_) due = std::min(due, kill_at_);
    const auto left =
        std::max<std::int64_t>(0, std::chrono::duration_cast<std::chrono::nanoseconds>(due - Clock::now()).count());
    const timespec timeout{left / 1'000'000'000, left % 1'000'000'000};
    return std::max(0, ::sigtimedwait(&signals_, nullptr, &timeout));
  }

  void look_who_is_ready() {
    for (std::uint32_t number = 0; number < workers_.size(); ++number)
      if (get(metrics_.worker(number).ready) != 0) workers_[number].was_ready = true;
  }

  void reap() {
    int status = 0;
    for (pid_t pid; (pid = ::waitpid(-1, &status, WNOHANG)) > 0;)
      for (std::uint32_t number = 0; number < workers_.size(); ++number)
        if (workers_[number].pid == pid) on_end(number, status);
  }

  void on_end(std::uint32_t number, int status) {
    Child& child = workers_[number];
    child.pid = 0;
    look_who_is_ready();
    metrics_.worker(number).pid = 0;
    set(metrics_.worker(number).ready, 0);
    const bool in_order = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    if (stopping_) {
      killed_ = killed_ || !in_order;
      return;
    }
    const char* how = WIFSIGNALED(status) ? "signal" : "exit_code";
    const int code = WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);
    // What it is told to serve cannot be served: starting it again would help nobody, and nobody would hear of it.
    if (!child.was_ready && !in_order) {
      log_.error("worker died before it was ready", {{"worker", number}, {how, code}});
      failed_to_start_ = true;
      return stop(SIGTERM);
    }
    if (Clock::now() - child.started >= kLivedWell) child.delay = kFirstDelay;
    log_.warn("worker died, starting it again", {{"worker", number}, {how, code}, {"delay_ms", child.delay.count()}});
    schedule(child);
  }

  void schedule(Child& child) {
    child.start_at = Clock::now() + child.delay;
    child.delay = std::min(2 * child.delay, kLongestDelay);
  }

  void restart_those_due() {
    for (std::uint32_t number = 0; number < workers_.size(); ++number) {
      if (stopping_ || Clock::now() < workers_[number].start_at) continue;
      add(metrics_.worker(number).restarts);
      start(number, true);
    }
  }

  void stop(int signal) {
    if (stopping_ && signal == SIGINT) {  // a person who will not wait
      kill_at_ = Clock::now();
      return;
    }
    if (stopping_) return;
    stopping_ = true;
    kill_at_ = Clock::now() + milliseconds(options_.drain_ms) + kKillAfterDrain;
    log_.info("stopping");
    send_to_all(SIGTERM);
  }

  void send_to_all(int signal) const {
    for (const Child& child : workers_)
      if (child.pid != 0) ::kill(child.pid, signal);
  }

  bool none_left() const {
    return std::all_of(workers_.begin(), workers_.end(), [](const Child& child) { return child.pid == 0; });
  }

  const ServeOptions& options_;
  const std::string token_;
  const Log log_;
  const SharedMetrics metrics_;
  std::vector<Child> workers_;
  Descriptor reservation_;  // holds the port, also one that the system picked, while workers come and go
  Descriptor unix_listener_;
  sigset_t signals_{}, signals_before_{};
  bool stopping_ = false, killed_ = false, failed_to_start_ = false;
  Clock::time_point kill_at_;
};

}  // namespace

int run_supervisor(const ServeOptions& options) { return Supervisor(options).run(); }

}  // namespace simtile::tools::serve
