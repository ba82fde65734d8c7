// Reads ranges of a container's sections with pread, checking each 64 KiB block against its checksum as it is touched:
// for single rows, ids and look-ups, where a mapping would bring page tables, SIGBUS and unchecked bytes.
//
// Threads: a SectionReader is used by one thread at a time (it keeps the last block it read). The container must
// outlive it.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/storage/container_file.h"

namespace simtile::storage {

class SectionReader {
 public:
  // `section` is one of the container's own.
  SectionReader(const ContainerFile& container, const SectionEntry& section);

  // Throws Error(kCorrupt) when the range leaves the section or a block is damaged.
  void read(std::uint64_t offset, std::span<std::byte> buffer);
  template <typename T>
  T read_value(std::uint64_t index) {
    T value;
    read(index * sizeof(T), std::as_writable_bytes(std::span(&value, 1)));
    return value;
  }
  // Throws Error(kCorrupt) when the range leaves the section.
  void check_range(std::uint64_t offset, std::uint64_t bytes) const;
  std::uint64_t bytes() const noexcept { return section_->bytes; }

 private:
  void load_block(std::uint64_t block);

  const ContainerFile* container_;
  const SectionEntry* section_;
  std::vector<std::byte> block_;
  std::uint64_t loaded_block_ = UINT64_MAX;
};

}  // namespace simtile::storage
