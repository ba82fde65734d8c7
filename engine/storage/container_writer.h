// Writes a container file (see container_layout.h) and publishes it atomically: the bytes go to `<path>.partial`,
// which is synced and renamed over `path` by finish(). Until then an older file at `path` stays as it was; a writer
// that is destroyed unfinished removes its temporary.
//
// Order of use: open sections one after the other (or several at once, where their sizes are known), append to them,
// close them, finish(). Memory: what is buffered of a section, up to 512 KiB, and 8 bytes for each block written.
// Threads: one thread at a time. Errors: Error(kIo), Error(kInvalidArgument) when `path` is a folder or another live
// process is writing it.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/base/os.h"
#include "engine/storage/container_layout.h"

namespace simtile::storage {

// Throws Error(kInvalidArgument) when `path` names a folder, or a device or pipe, which publishing would replace.
void check_output_path(const std::string& path);
// The same, and when it names one of `inputs`, by a link too, or is written under a name that does. An input that is
// empty, or "-" for standard input, is none.
void check_output_path(const std::string& path, const std::vector<std::string>& inputs);

// Whether a file outlives a crash of the machine, or is made again when it is missing: then nothing is synced.
enum class Durability { kSynced, kTemporary };

// A file that appears whole under its name or not at all.
class AtomicFile {
 public:
  explicit AtomicFile(const std::string& path);
  AtomicFile(AtomicFile&&) = default;
  AtomicFile& operator=(AtomicFile&&) = delete;
  ~AtomicFile();

  const os::File& file() const noexcept { return file_; }
  const std::string& path() const noexcept { return path_; }
  // Syncs, renames over path(), syncs the folder.
  void publish(Durability durability = Durability::kSynced);

 private:
  std::string path_;
  std::string partial_path_;
  os::File file_;
};

// Appends to one section, hashing block by block as it goes.
class SectionWriter {
 public:
  SectionWriter(const os::File& file, SectionKind kind, std::uint64_t offset, Durability durability);
  SectionWriter(SectionWriter&&) = default;

  void append(std::span<const std::byte> bytes);
  template <typename T>
  void append_values(std::span<const T> values) {
    append(std::as_bytes(values));
  }
  std::uint64_t bytes() const noexcept { return bytes_; }

 private:
  friend class ContainerWriter;
  static constexpr std::size_t kBufferBytes = 8 * kBlockBytes;
  void flush();
  void pad_and_flush();

  const os::File* file_;
  SectionKind kind_;
  std::uint64_t offset_;
  Durability durability_;
  std::uint64_t bytes_ = 0;
  std::uint64_t flushed_ = 0;
  std::vector<std::byte> buffer_;
  std::vector<std::uint64_t> block_hashes_;
};

class ContainerWriter {
 public:
  ContainerWriter(const std::string& path, std::span<const char, 8> magic, Durability durability = Durability::kSynced);

  // A section that starts where the last closed one ended.
  SectionWriter begin_section(SectionKind kind);
  // A section at a known offset, to be written beside another one that is still open.
  SectionWriter begin_section_at(SectionKind kind, std::uint64_t offset);
  void end_section(SectionWriter&& section);

  // `body` goes into the header's format fields. Returns the header's hash, the file's identity.
  std::uint64_t finish(std::span<const std::byte> body);

 private:
  struct Finished {
    SectionEntry entry;
    std::vector<std::uint64_t> block_hashes;
  };
  AtomicFile out_;
  Durability durability_;
  char magic_[8];
  std::uint64_t end_ = kHeaderBytes;
  std::vector<Finished> sections_;
};

// Bytes set aside on disk while their place in the final file is not known yet. The file has no name, so nothing is
// left behind however the process ends.
class Spool {
 public:
  explicit Spool(const std::string& beside_path);
  void append(std::span<const std::byte> bytes);
  std::uint64_t bytes() const noexcept { return flushed_ + buffer_.size(); }
  // Reads what was appended (flushing it first).
  void read_at(std::span<std::byte> buffer, std::uint64_t offset);
  void copy_to(SectionWriter& section);

 private:
  static constexpr std::size_t kBufferBytes = std::size_t{256} * 1024;
  void flush();
  os::File file_;
  std::uint64_t flushed_ = 0;
  std::vector<std::byte> buffer_;
};

}  // namespace simtile::storage
