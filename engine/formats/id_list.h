// A file of ids, one a line, read twice: once to learn what they are, once to hand them over.
//
// Ids are u64 when every one is a decimal number below 2^64 written without leading zeros or sign (so that nothing is
// lost on the way); else all are strings. Memory: bounded. Errors: Error(kCorrupt) for an empty id, naming its line.
#pragma once

#include <cstdint>
#include <string>

#include "engine/storage/container_layout.h"
#include "engine/storage/matrix_writer.h"

namespace simtile::formats {

struct IdList {
  std::string path;
  storage::IdKind kind = storage::IdKind::kU64;
  std::uint64_t count = 0;
};

IdList scan_ids(const std::string& path);
void append_ids(const IdList& ids, storage::MatrixWriter& writer);

}  // namespace simtile::formats
