// The sockets that the server listens on. Errors: simtile::Error (kIo: the address is taken or not ours,
// kInvalidArgument: it is no address).
#pragma once

#include <cstdint>
#include <string>
#include <utility>

namespace simtile::tools::serve {

// A descriptor that closes itself.
class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Descriptor();
  int fd() const noexcept { return fd_; }
  int release() noexcept { return std::exchange(fd_, -1); }

 private:
  int fd_ = -1;
};

// Takes connections only once it listens. `shared`: with SO_REUSEPORT, so that several processes may have one each.
Descriptor bind_tcp(const std::string& address, std::uint16_t port, bool shared);
void listen_on(const Descriptor& socket);
std::uint16_t port_of(const Descriptor& socket);

// Listening. A socket file that nobody listens on any more is replaced.
Descriptor listen_unix(const std::string& path);

}  // namespace simtile::tools::serve
