// Gives changed bytes the checksums that an honest writer would have given them: the attacker knows the format.
#pragma once

#include <xxhash.h>

#include <cstddef>
#include <cstring>
#include <string>

#include "engine/base/checked.h"
#include "engine/join/run_file.h"
#include "engine/storage/container_layout.h"

namespace simtile::fuzz {

inline bool lies_within(std::uint64_t offset, std::uint64_t bytes, const std::string& file) {
  return fits_within(offset, bytes, file.size());
}

// Of every block that lies within the file, of the table, of the header.
inline void seal_container(std::string& file) {
  using storage::ContainerHeader;
  ContainerHeader header;
  if (file.size() < sizeof header) return;
  std::memcpy(&header, file.data(), sizeof header);
  for (std::uint32_t i = 0; i < std::min<std::uint32_t>(header.section_count, storage::kMaxSections); ++i) {
    const storage::SectionEntry& section = header.sections[i];
    if (!lies_within(section.offset, section.bytes, file)) continue;
    const std::uint64_t padded = round_up(section.bytes, storage::kSectionAlignment);
    for (std::uint64_t at = 0; at < padded; at += storage::kBlockBytes) {
      const std::uint64_t bytes = std::min(storage::kBlockBytes, padded - at);
      const std::uint64_t entry = section.first_block + at / storage::kBlockBytes;
      if (entry >= file.size() || !lies_within(section.offset + at, bytes, file) ||
          !lies_within(header.checksums_offset, (entry + 1) * sizeof entry, file))
        continue;
      const std::uint64_t hash = XXH3_64bits(file.data() + section.offset + at, bytes);
      std::memcpy(file.data() + header.checksums_offset + entry * sizeof hash, &hash, sizeof hash);
    }
  }
  if (header.block_count < file.size() && lies_within(header.checksums_offset, header.block_count * 8, file))
    header.checksums_xxh3 = XXH3_64bits(file.data() + header.checksums_offset, header.block_count * 8);
  header.header_xxh3 = XXH3_64bits(&header, offsetof(ContainerHeader, header_xxh3));
  std::memcpy(file.data(), &header, sizeof header);
}

inline void seal_run(std::string& file) {
  join::RunHeader header;
  if (file.size() < sizeof header) return;
  std::memcpy(&header, file.data(), sizeof header);
  header.header_xxh3 = XXH3_64bits(&header, offsetof(join::RunHeader, header_xxh3));
  std::memcpy(file.data(), &header, sizeof header);
  join::RunBlock block;
  for (std::size_t at = sizeof header; lies_within(at, sizeof block, file);) {
    std::memcpy(&block, file.data() + at, sizeof block);
    const std::size_t bytes = block.entries * sizeof(join::RunEntry);
    if (!lies_within(at + sizeof block, bytes, file)) return;
    block.xxh3 = XXH3_64bits_withSeed(file.data() + at + sizeof block, bytes,
                                      (static_cast<std::uint64_t>(block.first_row) << 32) | block.entries);
    std::memcpy(file.data() + at, &block, sizeof block);
    at += sizeof block + bytes;
  }
}

inline void seal_journal(std::string& file) {
  if (file.size() < sizeof(std::uint64_t)) return;
  const std::size_t body = file.size() - sizeof(std::uint64_t);
  const std::uint64_t hash = XXH3_64bits(file.data(), body);
  std::memcpy(file.data() + body, &hash, sizeof hash);
}

}  // namespace simtile::fuzz
