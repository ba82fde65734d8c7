// What the fuzz targets share: bytes as a file in memory, and changes to an honest file as the fuzzer writes them.
#pragma once

#include <fcntl.h>
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

#include "simtile/error.h"

namespace simtile::fuzz {

// A promise that was broken: what the fuzzer looks for beside crashes.
inline void require(bool kept, const char* promise) {
  if (kept) return;
  std::fprintf(stderr, "broken promise: %s\n", promise);
  std::abort();
}

// Does the work, which may refuse the file as an error of the library's.
template <typename Work>
void let_refuse(Work work) {
  try {
    work();
  } catch (const Error&) {
  }
}

// Whether an input is one of the few, the same ones each time, that are taken further at many times the cost. Not by a
// bit of the input: what goes further reaches more, is kept for it, and soon nearly all that is tried would.
inline bool goes_further(const std::uint8_t* data, std::size_t size) { return XXH3_64bits(data, size) % 32 == 0; }

// Over what is in the file, whose memory then need not be found and cleared again.
inline void write_file(const std::string& path, std::string_view bytes) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
  require(fd >= 0 && ::write(fd, bytes.data(), bytes.size()) == ssize_t(bytes.size()) &&
              ::ftruncate(fd, off_t(bytes.size())) == 0,
          "a file takes what is written");
  ::close(fd);
}

// A folder in memory for this process, removed at its end.
class MemoryFolder {
 public:
  MemoryFolder() {
    std::string name = "/dev/shm/simtile-fuzz-XXXXXX";
    require(::mkdtemp(name.data()) != nullptr, "a folder can be made in /dev/shm");
    path_ = name;
  }
  MemoryFolder(const MemoryFolder&) = delete;
  MemoryFolder& operator=(const MemoryFolder&) = delete;
  ~MemoryFolder() { std::filesystem::remove_all(path_); }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

// Takes the fuzzer's bytes from the front; zeros when there are no more.
class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size) : bytes_(data, size) {}

  bool empty() const { return bytes_.empty(); }
  template <typename T>
  T take() {
    T value{};
    const std::size_t taken = std::min(sizeof value, bytes_.size());
    if (taken > 0) std::memcpy(&value, bytes_.data(), taken);
    bytes_ = bytes_.subspan(taken);
    return value;
  }
  std::span<const std::uint8_t> take_bytes(std::size_t most) {
    const auto taken = bytes_.first(std::min(most, bytes_.size()));
    bytes_ = bytes_.subspan(taken.size());
    return taken;
  }
  std::span<const std::uint8_t> rest() const { return bytes_; }

 private:
  std::span<const std::uint8_t> bytes_;
};

// The rest of the input as changes to an honest file: offset (16 bits, counted from the end where the next bit is
// set), how many bytes (1 to 8), and the bytes. So that small inputs reach deep into files of many pages.
inline void apply_changes(Input& input, std::string& file) {
  while (!input.empty() && !file.empty()) {
    const std::size_t offset = input.take<std::uint16_t>();
    const auto shape = input.take<std::uint8_t>();
    const std::size_t place = offset % file.size();
    const std::size_t at = (shape & 0x80) != 0 ? file.size() - 1 - place : place;
    const auto bytes = input.take_bytes(1 + shape % 8);
    std::copy_n(bytes.begin(), std::min(bytes.size(), file.size() - at), file.begin() + std::ptrdiff_t(at));
  }
}

}  // namespace simtile::fuzz
