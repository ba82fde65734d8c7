// Opens a container file read-only and checks everything that can be checked without reading the payload: length,
// magic, version, the header's hash, then that the sections follow each other exactly as the layout says.
//
// Threads: const methods may be called from several threads at once.
// Errors: Error(kCorrupt) names the file, the offset and what is wrong; Error(kIo) when the system refuses.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/base/os.h"
#include "engine/storage/container_layout.h"

namespace simtile::storage {

class ContainerFile {
 public:
  // `what` names the format in messages ("matrix file").
  static ContainerFile open(const std::string& path, std::span<const char, 8> magic, const std::string& what);

  const ContainerHeader& header() const noexcept { return header_; }
  const os::File& file() const noexcept { return file_; }
  const std::string& path() const noexcept { return file_.path(); }
  std::uint64_t identity() const noexcept { return header_.header_xxh3; }
  // What the path named when it was opened.
  const os::File::Identity& opened_as() const noexcept { return opened_as_; }

  const SectionEntry* find_section(SectionKind kind) const noexcept;
  // The section, which must be there and have exactly `bytes` bytes; else Error(kCorrupt).
  const SectionEntry& require_section(SectionKind kind, std::uint64_t bytes) const;

  // Reads `buffer.size()` bytes of a section from `offset` in it; the caller has bounds-checked them.
  void read_section(const SectionEntry& section, std::uint64_t offset, std::span<std::byte> buffer) const;

  // The stored hash of each of the section's blocks, after checking the table itself.
  std::vector<std::uint64_t> load_checksums() const;
  // Throws Error(kCorrupt) unless these bytes are the table that the header means.
  void check_checksum_table(std::span<const std::byte> table) const;
  // The number of blocks that cover a section with its padding, and the bytes of the block with that index in it.
  static std::uint64_t block_count(const SectionEntry& section) noexcept;
  static std::uint64_t padded_bytes(const SectionEntry& section) noexcept;

  // Throws Error(kCorrupt) naming file, block and offset unless the block's bytes have the hash the table gives.
  void check_block(const SectionEntry& section, std::uint64_t block_in_section, std::span<const std::byte> bytes,
                   std::uint64_t stored_hash) const;
  // Throws Error(kCorrupt) when the file was cut, grew or was written to since it was opened.
  void check_unchanged() const;
  // Reads the whole file once and checks every hash.
  void verify_all() const;

 private:
  os::File file_;
  os::File::Identity opened_as_;
  ContainerHeader header_{};
};

const char* section_name(SectionKind kind) noexcept;

}  // namespace simtile::storage
