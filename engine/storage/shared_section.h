// Copies ranges of a section out for several threads at once: from a mapping of the whole file, without a lock, or by
// reading, one thread at a time.
//
// Threads: read() may be called from several threads at once. Lifetime: container and mapping must outlive it.
#pragma once

#include <cstdint>
#include <mutex>
#include <span>

#include "engine/storage/mapped_container.h"
#include "engine/storage/section_reader.h"

namespace simtile::storage {

// How a reader reaches its file: `mapped` null: by reading.
struct FileAccess {
  const ContainerFile* container;
  const MappedContainer* mapped;
  bool checked;  // blocks are held against their checksums; `mapped` knows for itself
};

class SharedSection {
 public:
  // `section` is one of the container's own.
  SharedSection(const FileAccess& access, const SectionEntry& section)
      : access_(access), section_(&section), reader_(*access.container, section) {}

  // Throws Error(kCorrupt) when the range leaves the section or a block is damaged. Mapped bytes count only once
  // MappedContainer::check_intact() has been asked.
  void read(std::uint64_t offset, std::span<std::byte> buffer) const;
  template <typename T>
  T read_value(std::uint64_t index) const {
    T value;
    read(index * sizeof(T), std::as_writable_bytes(std::span(&value, 1)));
    return value;
  }
  std::uint64_t bytes() const noexcept { return section_->bytes; }

 private:
  FileAccess access_;
  const SectionEntry* section_;
  mutable std::mutex mutex_;  // guards reader_
  mutable SectionReader reader_;
};

}  // namespace simtile::storage
