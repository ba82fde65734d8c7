// The generations of a file that readers keep open: the one of now, and how a replaced file takes its place.
//
// Threads: all methods may be called from several threads at once. A generation lives as long as somebody holds it.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "engine/base/os.h"
#include "simtile/error.h"

namespace simtile::storage {

// `Generation` has `const ContainerFile& container() const`.
template <typename Generation>
class Generations {
 public:
  explicit Generations(std::shared_ptr<const Generation> first, std::uint64_t number = 1)
      : current_(std::move(first)), number_(number) {}

  std::shared_ptr<const Generation> current() const {
    const std::lock_guard lock(mutex_);
    return current_;
  }
  std::uint64_t number() const {
    const std::lock_guard lock(mutex_);
    return number_;
  }
  // This generation alone, in a state of its own.
  std::unique_ptr<Generations> snapshot() const {
    const std::lock_guard lock(mutex_);
    return std::make_unique<Generations>(current_, number_);
  }

  // open() gives the new generation, or throws.
  template <typename Open>
  bool reload(Open open) {
    const std::lock_guard one_at_a_time(reload_mutex_);
    std::shared_ptr<const Generation> old = current();
    const std::string& path = old->container().path();
    const auto now = os::identity_of(path);
    if (!now)
      throw Error(ErrorCode::kIo,
                  "'" + path + "' is gone; the version that is open stays in use until there is another");
    if (*now == old->container().opened_as()) return false;
    std::shared_ptr<const Generation> next = open(*old);
    const std::lock_guard lock(mutex_);
    current_ = std::move(next);
    ++number_;
    return true;
  }

 private:
  std::mutex reload_mutex_;
  mutable std::mutex mutex_;  // guards what follows
  std::shared_ptr<const Generation> current_;
  std::uint64_t number_;
};

}  // namespace simtile::storage
