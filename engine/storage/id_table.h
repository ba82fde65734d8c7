// Looks ids up in a file's three id sections, reading only the blocks it needs.
//
// Threads: safe from several threads at once. What the access names must outlive it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "engine/storage/container_file.h"
#include "engine/storage/shared_section.h"

namespace simtile::storage {

// Which sections hold the ids, where each string starts, and the lookup table.
struct IdSections {
  SectionKind ids, offsets, index;
};
inline constexpr IdSections kRowIds{SectionKind::kIds, SectionKind::kIdOffsets, SectionKind::kIdIndex};
inline constexpr IdSections kBaseRowIds{SectionKind::kBaseIds, SectionKind::kBaseIdOffsets, SectionKind::kBaseIdIndex};

// Throws Error(kCorrupt) unless the sections that `kind` calls for are there and have the sizes that `rows` needs.
void check_id_sections(const ContainerFile& container, IdKind kind, const IdSections& sections, std::uint64_t rows);
// Throws Error(kCorrupt) for a value that is no IdKind.
IdKind check_id_kind(const ContainerFile& container, std::uint32_t stored);

class IdTable {
 public:
  // kNone: rows are their own ids, in decimal.
  IdTable(const FileAccess& access, IdKind kind, const IdSections& sections, std::uint64_t rows);

  std::string id(std::uint64_t row) const;
  std::optional<std::uint64_t> find(std::string_view id) const;

 private:
  std::string stored_id(std::uint64_t row) const;

  const ContainerFile* container_;
  IdKind kind_;
  std::uint64_t rows_;
  std::optional<SharedSection> ids_, offsets_, index_;
};

const char* id_kind_name(IdKind kind) noexcept;

}  // namespace simtile::storage
