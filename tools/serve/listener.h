// Accepts on a listening socket and hands each connection on.
//
// Threads: the event loop's alone.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>

#include "tools/serve/sockets.h"

namespace simtile::tools::serve {

class Listener {
 public:
  Listener(boost::asio::io_context& loop, Descriptor socket, std::function<void(int)> take);
  // Takes what has connected already, then closes the socket.
  void stop();

 private:
  void wait();
  // False when the system has no room for more right now.
  bool accept_some();

  boost::asio::posix::stream_descriptor socket_;
  boost::asio::steady_timer pause_;
  std::function<void(int)> take_;
};

}  // namespace simtile::tools::serve
