// Bytes that a foreign format reads front to back, wherever they are: a part of a file, a member of a zip archive,
// standard input set aside on disk.
//
// Threads: one at a time. Errors: Error(kIo) when the system refuses, Error(kCorrupt) when the bytes end too early or
// do not unpack.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "engine/base/os.h"
#include "engine/storage/container_writer.h"

namespace simtile::formats {

class ByteStream {
 public:
  explicit ByteStream(std::string name) : name_(std::move(name)) {}
  ByteStream(const ByteStream&) = delete;
  ByteStream& operator=(const ByteStream&) = delete;
  virtual ~ByteStream() = default;

  // What messages call it: the path, and the member within it.
  const std::string& name() const noexcept { return name_; }
  // Bytes read so far.
  std::uint64_t offset() const noexcept { return offset_; }
  // Fills the buffer; fewer bytes only at the end.
  std::size_t read(std::span<std::byte> buffer);
  // Fills the buffer or throws Error(kCorrupt).
  void read_exactly(std::span<std::byte> buffer);
  // Throws Error(kCorrupt) unless every byte has been read.
  void expect_end();

 protected:
  // Reads at least one byte unless the stream has ended.
  virtual std::size_t read_some(std::span<std::byte> buffer) = 0;

 private:
  std::string name_;
  std::uint64_t offset_ = 0;
};

class FileStream : public ByteStream {
 public:
  // The file from its first byte to its last.
  explicit FileStream(os::File file);
  // Skips to an offset; the stream's own offset counts from there.
  FileStream(os::File file, std::uint64_t begin, std::uint64_t bytes);

 private:
  std::size_t read_some(std::span<std::byte> buffer) override;
  os::File file_;
  std::uint64_t next_;
  std::uint64_t end_;
};

// The spool must outlive the stream.
class SpoolStream : public ByteStream {
 public:
  SpoolStream(storage::Spool& spool, std::string name) : ByteStream(std::move(name)), spool_(spool) {}

 private:
  std::size_t read_some(std::span<std::byte> buffer) override;
  storage::Spool& spool_;
};

}  // namespace simtile::formats
