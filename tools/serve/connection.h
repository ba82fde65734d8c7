// HTTP/1.1 over the sockets that a worker accepts: one request after another on each, with a deadline on every step and
// a bound on everything that a client may send.
//
// Threads: the event loop's alone.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <unordered_set>

#include "tools/serve/http.h"
#include "tools/serve/metrics.h"
#include "tools/serve/serve_options.h"

namespace simtile::tools::serve {

class Connection;

class Connections {
 public:
  using Handler = std::function<void(HttpRequest, Respond)>;
  Connections(boost::asio::io_context& loop, const Limits& limits, WorkerMetrics& metrics, Handler handler);
  ~Connections();

  // Takes an accepted socket over; closes it at once where there are as many connections as may be.
  void take(int fd);
  std::size_t count() const noexcept { return open_.size(); }
  // Closes those that wait for a request.
  void close_idle();

 private:
  friend class Connection;
  void sweep();
  template <typename Use>
  void for_each(Use use);
  void forget(const std::shared_ptr<Connection>& connection);

  boost::asio::io_context& loop_;
  boost::asio::steady_timer sweep_timer_;
  const Limits& limits_;
  WorkerMetrics& metrics_;
  Handler handler_;
  std::unordered_set<std::shared_ptr<Connection>> open_;
  std::uint64_t incoming_bytes_ = 0;  // of bodies that arrive, whole as announced
  std::uint64_t outgoing_bytes_ = 0;  // of answers that are being written
};

}  // namespace simtile::tools::serve
