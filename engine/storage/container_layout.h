// The bytes that every simtile file starts with. docs/file_format.md tells the same in prose: change both together.
//
//   offset 0                4096                                                      checksums_offset
//   | header (one page)     | section | pad | section | pad | ...                     | XXH3 of each block |
//
// A section starts on a page and is padded with zeros to the next one; sections follow each other without gaps. Each
// section, padding included, is cut into blocks of 64 KiB (the last one may be shorter), and each block's XXH3-64
// stands in the table at the end, so every byte between header and table is covered. The table's own XXH3 stands in
// the header, and the header's XXH3 in its last eight bytes: the header's hash therefore names the whole content.
//
// Rejected: one hash for the file (a reader could not check just what it touches); hashes between the blocks (the
// payload could not be mapped as one array); a table after the header (its size is unknown while rows stream in).
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

namespace simtile::storage {

static_assert(std::endian::native == std::endian::little, "the files are little-endian and mapped as they are");

inline constexpr std::uint32_t kFormatVersion = 1;
inline constexpr std::uint64_t kHeaderBytes = 4096;
inline constexpr std::uint64_t kSectionAlignment = 4096;
inline constexpr std::uint64_t kBlockBytes = 65536;
inline constexpr std::size_t kMaxSections = 16;

// What a section holds. The values are written in files: never renumber them.
enum class SectionKind : std::uint32_t {
  kRows = 1,              // dense matrix: rows x row_stride_bytes
  kValues = 2,            // CSR matrix: f32 for each non-zero
  kColumns = 3,           // CSR matrix: u32 for each non-zero, ascending within a row
  kRowStarts = 4,         // CSR matrix: u64, rows + 1
  kRowScales = 5,         // i8 matrix: f32 for each row
  kRowNorms = 6,          // f64 for each row: Euclidean norm (see storage/row_norm.h)
  kIds = 7,               // u64 for each row, or the bytes of all string ids one after the other
  kIdOffsets = 8,         // string ids: u64, rows + 1: where each id starts in kIds
  kIdIndex = 9,           // IdIndexEntry for each row, ascending
  kNeighbourRows = 10,    // neighbours file: u64, rows x top_k
  kNeighbourScores = 11,  // neighbours file: f32, rows x top_k
  kBaseIds = 12,          // search only: as 7 to 9, for the rows that the neighbours name
  kBaseIdOffsets = 13,
  kBaseIdIndex = 14,
  kRowPrefixes = 15,    // screen file: f32, rows x prefix_dims
  kResidualNorms = 16,  // screen file: f32, rows x prefix_dims / kScreenStep
  kBasis = 17,          // screen file: f32, prefix_dims x columns
  kFields = 18,         // neighbours file: FieldEntry for each field of a weighted sum
};

struct SectionEntry {
  std::uint32_t kind;
  std::uint32_t reserved;
  std::uint64_t offset;       // in the file, a multiple of kSectionAlignment
  std::uint64_t bytes;        // without the padding
  std::uint64_t first_block;  // index of its first block in the checksum table
};
static_assert(sizeof(SectionEntry) == 32);

struct ContainerHeader {
  char magic[8];
  std::uint32_t format_version;
  std::uint32_t header_bytes;
  std::uint64_t file_bytes;
  std::uint64_t block_bytes;
  std::uint64_t block_count;
  std::uint64_t checksums_offset;
  std::uint64_t checksums_xxh3;
  std::uint32_t section_count;
  std::uint32_t reserved;
  SectionEntry sections[kMaxSections];
  std::byte body[3512];  // the format's own fields: MatrixBody or NeighboursBody, then zeros
  std::uint64_t header_xxh3;
};
static_assert(sizeof(ContainerHeader) == kHeaderBytes);
static_assert(offsetof(ContainerHeader, file_bytes) == 16);
static_assert(offsetof(ContainerHeader, sections) == 64);
static_assert(offsetof(ContainerHeader, body) == 576);
static_assert(offsetof(ContainerHeader, header_xxh3) == 4088);

// One row of an id lookup table: sorted by hash, then row, so that a lookup probes by interpolation and an id that
// occurs twice finds its first row. The hash is XXH3-64 of the id's bytes (a u64 id: its eight little-endian bytes).
struct IdIndexEntry {
  std::uint64_t hash;
  std::uint64_t row;
  auto operator<=>(const IdIndexEntry&) const = default;
};
static_assert(sizeof(IdIndexEntry) == 16);

enum class IdKind : std::uint32_t { kNone = 0, kU64 = 1, kString = 2 };

}  // namespace simtile::storage
