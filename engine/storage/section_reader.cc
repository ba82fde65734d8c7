#include "engine/storage/section_reader.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "engine/base/checked.h"
#include "simtile/error.h"

namespace simtile::storage {

SectionReader::SectionReader(const ContainerFile& container, const SectionEntry& section)
    : container_(&container), section_(&section) {}

void SectionReader::check_range(std::uint64_t offset, std::uint64_t bytes) const {
  if (!fits_within(offset, bytes, section_->bytes))
    throw Error(ErrorCode::kCorrupt, "'" + container_->path() + "' refers to byte " + std::to_string(offset) +
                                         " of its " + section_name(static_cast<SectionKind>(section_->kind)) +
                                         ", which end at " + std::to_string(section_->bytes) + "; make the file again");
}

void SectionReader::read(std::uint64_t offset, std::span<std::byte> buffer) {
  check_range(offset, buffer.size());
  std::size_t done = 0;
  while (done < buffer.size()) {
    const std::uint64_t at = offset + done;
    if (at / kBlockBytes != loaded_block_) load_block(at / kBlockBytes);
    const std::size_t in_block = at % kBlockBytes;
    const std::size_t taken = std::min(buffer.size() - done, block_.size() - in_block);
    std::memcpy(buffer.data() + done, block_.data() + in_block, taken);
    done += taken;
  }
}

void SectionReader::load_block(std::uint64_t block) {
  loaded_block_ = UINT64_MAX;
  const std::uint64_t at = block * kBlockBytes;
  block_.resize(static_cast<std::size_t>(std::min(kBlockBytes, ContainerFile::padded_bytes(*section_) - at)));
  container_->read_section(*section_, at, block_);
  std::uint64_t stored_hash = 0;
  container_->file().read_exactly_at(
      std::as_writable_bytes(std::span(&stored_hash, 1)),
      container_->header().checksums_offset + (section_->first_block + block) * sizeof stored_hash);
  container_->check_block(*section_, block, block_, stored_hash);
  loaded_block_ = block;
}

}  // namespace simtile::storage
