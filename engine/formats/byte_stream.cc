#include "engine/formats/byte_stream.h"

#include <algorithm>

#include "simtile/error.h"

namespace simtile::formats {

std::size_t ByteStream::read(std::span<std::byte> buffer) {
  std::size_t done = 0;
  while (done < buffer.size()) {
    const std::size_t moved = read_some(buffer.subspan(done));
    if (moved == 0) break;
    done += moved;
    offset_ += moved;
  }
  return done;
}

void ByteStream::read_exactly(std::span<std::byte> buffer) {
  const std::uint64_t begin = offset_;
  if (read(buffer) != buffer.size())
    throw Error(ErrorCode::kCorrupt, "'" + name_ + "' ends at byte " + std::to_string(offset_) + ", but " +
                                         std::to_string(buffer.size()) + " bytes were expected at offset " +
                                         std::to_string(begin) + "; the file was cut short: make it again");
}

void ByteStream::expect_end() {
  const std::uint64_t end = offset_;
  std::byte extra;
  if (read({&extra, 1}) != 0)
    throw Error(ErrorCode::kCorrupt, "'" + name_ + "' goes on after byte " + std::to_string(end) +
                                         ", where its own header says it ends; make the file again");
}

FileStream::FileStream(os::File file) : ByteStream(file.path()), file_(std::move(file)), next_(0), end_(file_.size()) {
  file_.advise_sequential();
}

FileStream::FileStream(os::File file, std::uint64_t begin, std::uint64_t bytes)
    : ByteStream(file.path()), file_(std::move(file)), next_(begin), end_(begin + bytes) {
  file_.advise_sequential();
}

std::size_t FileStream::read_some(std::span<std::byte> buffer) {
  const auto wanted = static_cast<std::size_t>(std::min<std::uint64_t>(buffer.size(), end_ - next_));
  const std::size_t moved = file_.read_at(buffer.first(wanted), next_);
  next_ += moved;
  return moved;
}

std::size_t SpoolStream::read_some(std::span<std::byte> buffer) {
  const std::uint64_t left = spool_.bytes() - offset();
  const auto wanted = static_cast<std::size_t>(std::min<std::uint64_t>(buffer.size(), left));
  spool_.read_at(buffer.first(wanted), offset());
  return wanted;
}

}  // namespace simtile::formats
