#include "engine/storage/mapped_container.h"

#include <algorithm>
#include <cstring>
#include <span>

#include "simtile/error.h"

namespace simtile::storage {

MappedContainer::MappedContainer(const ContainerFile& container, OpenMode mode)
    : container_(&container),
      mapping_(os::Mapping::map_file(container.file(), 0, static_cast<std::size_t>(container.header().file_bytes))),
      block_checked_(mode == OpenMode::kVerifyOnTouch ? static_cast<std::size_t>(container.header().block_count) : 0) {
  if (mode == OpenMode::kFull) container.verify_all();
  if (mode == OpenMode::kVerifyOnTouch)
    container.check_checksum_table({mapping_.data() + container.header().checksums_offset,
                                    static_cast<std::size_t>(container.header().block_count * sizeof(std::uint64_t))});
}

// Two threads may check the same block at once; both come to the same answer.
void MappedContainer::touch(const SectionEntry& section, std::uint64_t offset, std::uint64_t bytes) const {
  if (block_checked_.empty() || bytes == 0) return;
  const std::uint64_t last = (offset + bytes - 1) / kBlockBytes;
  for (std::uint64_t block = offset / kBlockBytes; block <= last; ++block)
    if (block_checked_[static_cast<std::size_t>(section.first_block + block)].load(std::memory_order_relaxed) == 0)
      check_block(section, block);
}

void MappedContainer::check_block(const SectionEntry& section, std::uint64_t block) const {
  const std::uint64_t at = block * kBlockBytes;
  const auto bytes = static_cast<std::size_t>(std::min(kBlockBytes, ContainerFile::padded_bytes(section) - at));
  mapping_.populate(static_cast<std::size_t>(section.offset + at), bytes);
  try {
    container_->check_block(section, block, {data(section) + at, bytes}, stored_hash(section.first_block + block));
  } catch (const Error&) {
    check_intact();  // zeros in the place of a lost page have no right hash either: that is the better reason
    throw;
  }
  block_checked_[static_cast<std::size_t>(section.first_block + block)].store(1, std::memory_order_relaxed);
}

std::uint64_t MappedContainer::stored_hash(std::uint64_t block) const noexcept {
  std::uint64_t hash;
  std::memcpy(&hash, mapping_.data() + container_->header().checksums_offset + block * sizeof hash, sizeof hash);
  return hash;
}

void MappedContainer::check_intact() const {
  container_->check_unchanged();
  if (mapping_.lost_pages())
    throw Error(ErrorCode::kIo, "cannot read '" + container_->path() +
                                    "': the disk did not deliver a page of it; check the disk, then open it again");
}

}  // namespace simtile::storage
