#include "tools/serve/worker.h"

#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <csignal>
#include <exception>
#include <memory>
#include <thread>
#include <vector>

#include "tools/serve/aside.h"
#include "tools/serve/connection.h"
#include "tools/serve/listener.h"
#include "tools/serve/service.h"
#include "tools/serve/sockets.h"

namespace simtile::tools::serve {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

std::uint32_t threads_for(const ServeOptions& options) {
  if (options.threads != 0) return options.threads;
  return std::max(1u, std::thread::hardware_concurrency() / options.workers);
}

class Worker {
 public:
  Worker(const WorkerTask& task, const Log& log)
      : task_(task),
        options_(*task.options),
        metrics_(task.metrics->worker(task.number)),
        log_(log),
        signals_(loop_, SIGTERM, SIGHUP),
        drain_timer_(loop_),
        service_(
            options_, task.token, *task.metrics, task.number, log,
            [this](std::function<void()> function) { asio::post(loop_, std::move(function)); },
            [this](std::function<void()> function) { aside_.run(std::move(function)); }),
        connections_(
            loop_, options_.limits, metrics_,
            [this](HttpRequest request, Respond respond) { service_.handle(std::move(request), std::move(respond)); }),
        aside_(std::chrono::milliseconds(options_.watch_ms), [this] { look_for_replaced_files(); }) {}

  int run() {
    metrics_.pid = ::getpid();
    set(metrics_.ready, 0);
    for (Counter* gauge :
         {&metrics_.connections, &metrics_.queue_requests, &metrics_.queue_bytes, &metrics_.cache_bytes})
      set(*gauge, 0);
    wait_for_signal();
    ::sigprocmask(SIG_SETMASK, &task_.signals, nullptr);
    if (!task_.is_restart) listen();
    aside_.run([this] { open(); });
    run_loop();
    // Opening may still be warming pages up, which nobody waits for.
    if (get(metrics_.ready) == 0 && exit_code_ == 0 && !was_ready_) ::_exit(0);
    return exit_code_;
  }

 private:
  // Each look at the sockets takes a processor from a pass, and its caches. After a search was refused the next look is
  // a little later, and finds many requests at once. Look-ups wait as long, of a server that has too much to do.
  void run_loop() {
    constexpr std::chrono::milliseconds kRest(2);
    while (loop_.run_one() != 0) {
      loop_.poll();
      if (service_.has_refused()) std::this_thread::sleep_for(kRest);
    }
  }

  void wait_for_signal() {
    signals_.async_wait([this](error_code error, int signal) {
      if (error) return;
      wait_for_signal();
      if (signal == SIGHUP)
        aside_.run([this] { look_for_replaced_files(); });
      else if (!service_.is_draining())
        drain();
    });
  }

  void listen() {
    const auto take = [this](int fd) { connections_.take(fd); };
    if (task_.tcp_port >= 0) {
      Descriptor socket = bind_tcp(options_.address, static_cast<std::uint16_t>(task_.tcp_port), true);
      listen_on(socket);
      listeners_.push_back(std::make_unique<Listener>(loop_, std::move(socket), take));
    }
    if (task_.unix_listener >= 0)
      listeners_.push_back(std::make_unique<Listener>(loop_, Descriptor(::dup(task_.unix_listener)), take));
  }

  // Aside.
  void open() {
    try {
      auto indexes = std::make_shared<Indexes>();
      for (const IndexOptions& index : options_.indexes)
        indexes->push_back(std::make_unique<ServedIndex>(index, options_, threads_for(options_)));
      indexes_ = indexes;
      publish_generations();
      asio::post(loop_, [this, indexes] {
        service_.begin_serving(indexes);
        was_ready_ = true;
        if (task_.is_restart && !service_.is_draining()) listen();
        log_.info("ready", {{"worker", task_.number}});
      });
    } catch (const std::exception& error) {
      log_.error("cannot open the indexes", {{"worker", task_.number}, {"error", error.what()}});
      asio::post(loop_, [this] {
        exit_code_ = 1;
        loop_.stop();
      });
    }
  }

  // Aside.
  void look_for_replaced_files() {
    if (indexes_ == nullptr) return;
    for (const std::unique_ptr<ServedIndex>& index : *indexes_) try {
        if (!index->reload()) continue;
        const auto version = index->version();
        add(metrics_.reloads);
        log_.info("swapped in", {{"worker", task_.number},
                                 {"index", index->name()},
                                 {"generation", version->generation},
                                 {"neighbours_generation", version->neighbours_generation}});
      } catch (const std::exception& error) {
        add(metrics_.reload_failures);
        log_.warn("cannot swap in", {{"worker", task_.number}, {"index", index->name()}, {"error", error.what()}});
      }
    publish_generations();
  }

  void publish_generations() {
    for (std::size_t i = 0; i < indexes_->size(); ++i) {
      const auto version = (*indexes_)[i]->version();
      set(metrics_.index_generation[i], version->generation);
      set(metrics_.neighbours_generation[i], version->neighbours_generation);
    }
  }

  void drain() {
    log_.info("draining", {{"worker", task_.number}, {"unanswered", service_.unanswered()}});
    service_.begin_draining();
    set(metrics_.ready, 0);
    for (const std::unique_ptr<Listener>& listener : listeners_) listener->stop();
    drain_end_ = Clock::now() + std::chrono::milliseconds(options_.drain_ms);
    drain_grace_end_ = Clock::now() + std::chrono::milliseconds(200);
    look_whether_drained();
  }

  // Connections that wait for a request get a moment to send one that is on its way.
  void look_whether_drained() {
    const Clock::time_point now = Clock::now();
    if (now >= drain_grace_end_ && service_.unanswered() == 0) connections_.close_idle();
    if ((now >= drain_grace_end_ && service_.unanswered() == 0 && connections_.count() == 0) || now >= drain_end_) {
      log_.info("drained", {{"worker", task_.number}, {"unanswered", service_.unanswered()}});
      loop_.stop();
      return;
    }
    drain_timer_.expires_after(std::chrono::milliseconds(20));
    drain_timer_.async_wait([this](error_code error) {
      if (!error) look_whether_drained();
    });
  }

  const WorkerTask task_;
  const ServeOptions& options_;
  WorkerMetrics& metrics_;
  const Log& log_;
  asio::io_context loop_{1};
  asio::signal_set signals_;
  asio::steady_timer drain_timer_;
  Clock::time_point drain_end_, drain_grace_end_;
  std::shared_ptr<const Indexes> indexes_;  // aside's
  Service service_;
  Connections connections_;
  std::vector<std::unique_ptr<Listener>> listeners_;
  bool was_ready_ = false;
  int exit_code_ = 0;
  Aside aside_;
};

}  // namespace

int run_worker(const WorkerTask& task, const Log& log) try {
  // A worker without its supervisor would hold the port that the next one wants.
  ::prctl(PR_SET_PDEATHSIG, SIGTERM);
  return Worker(task, log).run();
} catch (const std::exception& error) {
  log.error("worker failed", {{"worker", task.number}, {"error", error.what()}});
  return 1;
}

}  // namespace simtile::tools::serve
