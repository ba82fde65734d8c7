#include "tools/serve/listener.h"

#include <sys/socket.h>

#include <cerrno>
#include <chrono>
#include <utility>

namespace simtile::tools::serve {

using boost::system::error_code;

Listener::Listener(boost::asio::io_context& loop, Descriptor socket, std::function<void(int)> take)
    : socket_(loop, socket.release()), pause_(loop), take_(std::move(take)) {
  wait();
}

void Listener::stop() {
  while (accept_some() && errno != EAGAIN) {
  }
  error_code ignored;
  socket_.close(ignored);
  pause_.cancel();
}

void Listener::wait() {
  socket_.async_wait(boost::asio::posix::stream_descriptor::wait_read, [this](error_code error) {
    if (error) return;
    if (accept_some()) return wait();
    // Out of descriptors or memory: what has connected waits in the kernel's queue.
    pause_.expires_after(std::chrono::milliseconds(50));
    pause_.async_wait([this](error_code cancelled) {
      if (!cancelled) wait();
    });
  });
}

bool Listener::accept_some() {
  constexpr int kAtOnce = 64;  // others want the loop too
  for (int i = 0; i < kAtOnce; ++i) {
    errno = 0;
    const int fd = ::accept4(socket_.native_handle(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd >= 0)
      take_(fd);
    else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)
      return false;
    else if (errno == EAGAIN)
      return true;
  }
  errno = 0;
  return true;
}

}  // namespace simtile::tools::serve
