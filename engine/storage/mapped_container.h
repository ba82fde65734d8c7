// A container file mapped whole and kept, for readers that stay: as many processes as like pay for its pages once.
//
// (Jobs go through leases instead, memory/lease.h: windows that come and go, so that a budget holds.)
//
// Threads: all methods may be called from several threads at once. Lifetime: the container must outlive it.
// Errors: Error(kCorrupt) names the damaged block, or says that the file was changed while it was in use; Error(kIo)
// when the disk could not deliver a page.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "engine/base/os.h"
#include "engine/storage/container_file.h"
#include "simtile/open.h"

namespace simtile::storage {

class MappedContainer {
 public:
  MappedContainer(const ContainerFile& container, const OpenOptions& options);

  // Where a section begins in memory.
  const std::byte* data(const SectionEntry& section) const noexcept { return mapping_.data() + section.offset; }
  // Before [offset, offset + bytes) of the section is read: checks the blocks that nobody has checked before. The range
  // must lie within it.
  void touch(const SectionEntry& section, std::uint64_t offset, std::uint64_t bytes) const;
  // Once bytes were read: throws when they may not have been the file's.
  void check_intact() const;

  const os::Mapping& mapping() const noexcept { return mapping_; }

 private:
  void warm_up(const OpenOptions& options) const;
  void check_block(const SectionEntry& section, std::uint64_t block) const;
  std::uint64_t stored_hash(std::uint64_t block) const noexcept;

  const ContainerFile* container_;
  os::Mapping mapping_;
  mutable std::vector<std::atomic<std::uint8_t>> block_checked_;  // empty where nothing is left to check
};

}  // namespace simtile::storage
