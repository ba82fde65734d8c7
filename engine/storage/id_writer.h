// Collects the ids of a matrix's rows while they stream in, then writes the three id sections: the ids, where each
// string starts, and a lookup table sorted by hash (container_layout.h, IdIndexEntry).
//
// Memory: bounded whatever the number of rows. The table is sorted in chunks of kChunkEntries that are set aside on
// disk and merged at the end.
// Threads: one at a time.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/storage/container_writer.h"

namespace simtile::storage {

class IdWriter {
 public:
  // `beside_path`: the spools are made in this file's folder.
  IdWriter(const std::string& beside_path, IdKind kind);

  // Appends the next row's id, of the kind given to the constructor. An empty one is an Error(kCorrupt).
  void append(std::uint64_t id);
  void append(std::string_view id);

  IdKind kind() const noexcept { return kind_; }
  std::uint64_t rows() const noexcept { return rows_; }
  void write_sections(ContainerWriter& out);

 private:
  static constexpr std::size_t kChunkEntries = std::size_t{512} * 1024;
  void append_bytes(std::span<const std::byte> bytes);
  void spool_chunk();
  void write_index(ContainerWriter& out);

  IdKind kind_;
  std::uint64_t rows_ = 0;
  Spool ids_;
  Spool offsets_;
  Spool chunks_;
  std::vector<IdIndexEntry> chunk_;
  std::vector<std::uint64_t> chunk_starts_;  // in entries
};

}  // namespace simtile::storage
