#include "engine/storage/mapped_container.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <span>
#include <thread>

#include "simtile/error.h"

namespace simtile::storage {

MappedContainer::MappedContainer(const ContainerFile& container, const OpenOptions& options)
    : container_(&container),
      mapping_(os::Mapping::map_file(container.file(), 0, static_cast<std::size_t>(container.header().file_bytes))),
      block_checked_(options.mode == OpenMode::kVerifyOnTouch ? static_cast<std::size_t>(container.header().block_count)
                                                              : 0) {
  warm_up(options);
  const ContainerHeader& header = container.header();
  if (options.mode == OpenMode::kFull) container.verify_all();
  if (options.mode == OpenMode::kVerifyOnTouch)
    container.check_checksum_table({mapping_.data() + header.checksums_offset,
                                    static_cast<std::size_t>(header.block_count * sizeof(std::uint64_t))});
}

void MappedContainer::warm_up(const OpenOptions& options) const {
  using Clock = std::chrono::steady_clock;
  constexpr std::size_t kWarmedBytes = std::size_t{8} << 20;
  const auto table = static_cast<std::size_t>(container_->header().checksums_offset);
  if (options.warm == Warm::kHeader) {
    mapping_.populate(0, kHeaderBytes);
    mapping_.populate(table, mapping_.size() - table);
  } else if (options.warm == Warm::kFull) {
    const Clock::time_point start = Clock::now();
    for (std::size_t at = 0; at < mapping_.size(); at += kWarmedBytes) {
      mapping_.populate(at, std::min(kWarmedBytes, mapping_.size() - at));
      if (options.warm_bytes_per_second == 0) continue;
      const double due = static_cast<double>(at + kWarmedBytes) / static_cast<double>(options.warm_bytes_per_second);
      std::this_thread::sleep_until(start +
                                    std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(due)));
    }
  }
  if (options.lock) mapping_.lock(container_->path());
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
