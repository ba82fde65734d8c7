#include "engine/storage/container_file.h"

#include <xxhash.h>

#include <algorithm>
#include <cstring>

#include "engine/base/checked.h"
#include "engine/storage/block_hash.h"
#include "engine/storage/matrix_layout.h"
#include "engine/storage/neighbours_layout.h"
#include "engine/storage/screen_layout.h"
#include "simtile/error.h"

namespace simtile::storage {
namespace {

[[noreturn]] void refuse(const std::string& path, const std::string& why) {
  throw Error(ErrorCode::kCorrupt, "'" + path + "' " + why);
}

// What the user does instead, by what the file was to be.
std::string how_to_make(std::span<const char, 8> magic) {
  if (std::ranges::equal(magic, kNeighboursMagic)) return "run a join or a search first, and give its output";
  if (std::ranges::equal(magic, kScreenMagic)) return "make it with 'simtile screen', or remove it";
  return "import it first";
}

void check_header(const ContainerHeader& header, std::span<const char, 8> magic, const std::string& path,
                  const std::string& what) {
  if (std::memcmp(header.magic, magic.data(), 8) != 0)
    refuse(path, "is not a simtile " + what + " (wrong magic at offset 0); " + how_to_make(magic));
  if (header.format_version != kFormatVersion)
    refuse(path, "has format version " + std::to_string(header.format_version) +
                     " at offset 8, but this simtile reads " + std::to_string(kFormatVersion) +
                     "; use the simtile that wrote it, or a newer one");
  if (header.header_xxh3 != XXH3_64bits(&header, offsetof(ContainerHeader, header_xxh3)))
    refuse(path, "has a damaged header (its checksum at offset 4088 does not match); make the file again");
}

// Sections must tile the file from the header to the checksum table, and the table must end it.
void check_geometry(const ContainerHeader& header, std::uint64_t actual_bytes, const std::string& path) {
  if (header.header_bytes != kHeaderBytes || header.block_bytes != kBlockBytes)
    refuse(path, "has an unknown header or block size at offset 12");
  if (header.section_count == 0 || header.section_count > kMaxSections)
    refuse(path, "says it has " + std::to_string(header.section_count) + " sections at offset 56");
  if (header.file_bytes != actual_bytes)
    refuse(path, "has " + std::to_string(actual_bytes) + " bytes, but its header says " +
                     std::to_string(header.file_bytes) + "; it was cut short or grew: make it again");
  std::uint64_t end = kHeaderBytes;
  std::uint64_t blocks = 0;
  for (std::uint32_t i = 0; i < header.section_count; ++i) {
    const SectionEntry& section = header.sections[i];
    const std::string where = "section " + std::to_string(i);
    if (section.offset != end || section.first_block != blocks || !fits_within(end, section.bytes, actual_bytes))
      refuse(path, "has a " + where + " that does not follow the one before it or leaves the file");
    end += ContainerFile::padded_bytes(section);
    blocks += ContainerFile::block_count(section);
  }
  if (header.checksums_offset != end || header.block_count != blocks || end > actual_bytes ||
      actual_bytes - end != blocks * sizeof(std::uint64_t))
    refuse(path, "has a checksum table that does not match its sections");
}

}  // namespace

const char* section_name(SectionKind kind) noexcept {
  switch (kind) {
    case SectionKind::kRows: return "rows";
    case SectionKind::kValues: return "values";
    case SectionKind::kColumns: return "columns";
    case SectionKind::kRowStarts: return "row starts";
    case SectionKind::kRowScales: return "row scales";
    case SectionKind::kRowNorms: return "row norms";
    case SectionKind::kIds: return "ids";
    case SectionKind::kIdOffsets: return "id offsets";
    case SectionKind::kIdIndex: return "id index";
    case SectionKind::kNeighbourRows: return "neighbour rows";
    case SectionKind::kNeighbourScores: return "neighbour scores";
    case SectionKind::kBaseIds: return "base ids";
    case SectionKind::kBaseIdOffsets: return "base id offsets";
    case SectionKind::kBaseIdIndex: return "base id index";
    case SectionKind::kRowPrefixes: return "row prefixes";
    case SectionKind::kResidualNorms: return "residual norms";
    case SectionKind::kBasis: return "basis";
    case SectionKind::kFields: return "fields";
  }
  return "unknown";
}

ContainerFile ContainerFile::open(const std::string& path, std::span<const char, 8> magic, const std::string& what) {
  ContainerFile container;
  container.file_ = os::File::open_for_reading(path);
  container.opened_as_ = container.file_.identity();
  const std::uint64_t actual_bytes = container.opened_as_.bytes;
  if (actual_bytes < kHeaderBytes)
    refuse(path, "is not a simtile " + what + ": it has " + std::to_string(actual_bytes) +
                     " bytes, fewer than a header's " + std::to_string(kHeaderBytes));
  container.file_.read_exactly_at(std::as_writable_bytes(std::span(&container.header_, 1)), 0);
  check_header(container.header_, magic, path, what);
  check_geometry(container.header_, actual_bytes, path);
  return container;
}

const SectionEntry* ContainerFile::find_section(SectionKind kind) const noexcept {
  for (std::uint32_t i = 0; i < header_.section_count; ++i)
    if (header_.sections[i].kind == static_cast<std::uint32_t>(kind)) return &header_.sections[i];
  return nullptr;
}

const SectionEntry& ContainerFile::require_section(SectionKind kind, std::uint64_t bytes) const {
  const SectionEntry* section = find_section(kind);
  if (section == nullptr) refuse(path(), std::string("has no section of ") + section_name(kind));
  if (section->bytes != bytes)
    refuse(path(), std::string("has ") + std::to_string(section->bytes) + " bytes of " + section_name(kind) +
                       ", but its rows and columns need " + std::to_string(bytes));
  return *section;
}

void ContainerFile::read_section(const SectionEntry& section, std::uint64_t offset, std::span<std::byte> buffer) const {
  file_.read_exactly_at(buffer, section.offset + offset);
}

std::vector<std::uint64_t> ContainerFile::load_checksums() const {
  std::vector<std::uint64_t> table(static_cast<std::size_t>(header_.block_count));
  file_.read_exactly_at(std::as_writable_bytes(std::span(table)), header_.checksums_offset);
  check_checksum_table(std::as_bytes(std::span(table)));
  return table;
}

void ContainerFile::check_checksum_table(std::span<const std::byte> table) const {
  if (XXH3_64bits(table.data(), table.size()) == header_.checksums_xxh3) return;
  check_unchanged();
  refuse(path(), "has a damaged checksum table at offset " + std::to_string(header_.checksums_offset) +
                     "; make the file again");
}

std::uint64_t ContainerFile::padded_bytes(const SectionEntry& section) noexcept {
  return round_up(section.bytes, kSectionAlignment);
}

std::uint64_t ContainerFile::block_count(const SectionEntry& section) noexcept {
  return divide_up(padded_bytes(section), kBlockBytes);
}

void ContainerFile::check_block(const SectionEntry& section, std::uint64_t block_in_section,
                                std::span<const std::byte> bytes, std::uint64_t stored_hash) const {
  if (hash_block(bytes.data(), bytes.size()) == stored_hash) return;
  check_unchanged();
  refuse(path(), "is damaged: block " + std::to_string(section.first_block + block_in_section) + " (" +
                     section_name(static_cast<SectionKind>(section.kind)) + ", " + std::to_string(bytes.size()) +
                     " bytes at offset " + std::to_string(section.offset + block_in_section * kBlockBytes) +
                     ") does not match its checksum; make the file again");
}

void ContainerFile::check_unchanged() const {
  const os::File::Identity now = file_.identity();
  if (now == opened_as_) return;
  const std::string how =
      now.bytes < opened_as_.bytes ? "cut to " + std::to_string(now.bytes) + " bytes" : "written to";
  refuse(path(), "was " + how + " while it was in use; replace files by renaming, and run again");
}

void ContainerFile::verify_all() const {
  const std::vector<std::uint64_t> checksums = load_checksums();
  std::vector<std::byte> buffer;
  file_.advise_sequential();
  for (std::uint32_t i = 0; i < header_.section_count; ++i) {
    const SectionEntry& section = header_.sections[i];
    const std::uint64_t padded = padded_bytes(section);
    for (std::uint64_t block = 0; block < block_count(section); ++block) {
      const std::uint64_t at = block * kBlockBytes;
      buffer.resize(static_cast<std::size_t>(std::min(kBlockBytes, padded - at)));
      read_section(section, at, buffer);
      check_block(section, block, buffer, checksums[section.first_block + block]);
    }
  }
}

}  // namespace simtile::storage
