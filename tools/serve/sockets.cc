#include "tools/serve/sockets.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "simtile/error.h"

namespace simtile::tools::serve {
namespace {

constexpr int kBacklog = 4096;

[[noreturn]] void fail(const std::string& what) {
  throw Error(ErrorCode::kIo, "cannot listen on " + what + ": " + std::strerror(errno));
}

bool somebody_listens(const sockaddr_un& address) {
  const Descriptor probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  return ::connect(probe.fd(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
}

}  // namespace

Descriptor::~Descriptor() {
  if (fd_ >= 0) ::close(fd_);
}

Descriptor bind_tcp(const std::string& address, std::uint16_t port, bool shared) {
  addrinfo hints{};
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (::getaddrinfo(address.c_str(), std::to_string(port).c_str(), &hints, &found) != 0)
    throw Error(ErrorCode::kInvalidArgument, "'" + address + "' is no IP address; give one such as 127.0.0.1 or ::1");
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> guard(found, ::freeaddrinfo);
  const std::string name = address + " port " + std::to_string(port);
  Descriptor socket(::socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP));
  const int on = 1;
  if (socket.fd() < 0 || ::setsockopt(socket.fd(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
      (shared && ::setsockopt(socket.fd(), SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) != 0) ||
      ::bind(socket.fd(), found->ai_addr, found->ai_addrlen) != 0)
    fail(name);
  return socket;
}

void listen_on(const Descriptor& socket) {
  if (::listen(socket.fd(), kBacklog) != 0) fail("a socket");
}

std::uint16_t port_of(const Descriptor& socket) {
  sockaddr_storage storage{};
  socklen_t length = sizeof storage;
  if (::getsockname(socket.fd(), reinterpret_cast<sockaddr*>(&storage), &length) != 0) fail("a socket");
  const auto port = storage.ss_family == AF_INET6 ? reinterpret_cast<const sockaddr_in6&>(storage).sin6_port
                                                  : reinterpret_cast<const sockaddr_in&>(storage).sin_port;
  return ntohs(port);
}

Descriptor listen_unix(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path)
    throw Error(ErrorCode::kInvalidArgument, "the socket's path '" + path + "' is too long; at most " +
                                                 std::to_string(sizeof address.sun_path - 1) + " bytes fit");
  std::memcpy(address.sun_path, path.data(), path.size());
  struct stat status {};
  if (::lstat(path.c_str(), &status) == 0) {
    if (!S_ISSOCK(status.st_mode))
      throw Error(ErrorCode::kInvalidArgument, "'" + path + "' is there and no socket; give another --unix-socket");
    if (somebody_listens(address))
      throw Error(ErrorCode::kIo, "another server listens on '" + path + "'; stop it or give another --unix-socket");
    ::unlink(path.c_str());
  }
  Descriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (socket.fd() < 0 || ::bind(socket.fd(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      ::listen(socket.fd(), kBacklog) != 0)
    fail("'" + path + "'");
  return socket;
}

}  // namespace simtile::tools::serve
