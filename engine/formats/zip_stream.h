// Members of a zip archive as byte streams, unpacked while they are read, through libzip. Each stream opens the archive
// for itself, so that several members can be read at once.
//
// Errors: Error(kIo) when the file cannot be read, Error(kCorrupt) when the archive is damaged; a member's checksum is
// checked when it has been read to its end.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "engine/formats/byte_stream.h"

namespace simtile::formats {

struct ZipMember {
  std::string name;
  std::uint64_t index = 0;
  std::uint64_t bytes = 0;  // unpacked, as the archive says
};

std::vector<ZipMember> list_zip_members(const std::string& path);

// The stream's name is `path:member`.
std::unique_ptr<ByteStream> open_zip_member(const std::string& path, const ZipMember& member);

}  // namespace simtile::formats
