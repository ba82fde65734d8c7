// Members of a zip archive as byte streams, unpacked while they are read, through libzip. Several members can be read
// side by side: the archive's directory, which may be long, is read once.
//
// Threads: one at a time for an archive and all of its streams.
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

class ZipArchive {
 public:
  explicit ZipArchive(const std::string& path);

  const std::string& path() const noexcept { return path_; }
  const std::vector<ZipMember>& members() const noexcept { return members_; }
  // The stream's name is `path:member`. It may outlive this.
  std::unique_ptr<ByteStream> open(const ZipMember& member) const;

 private:
  class LentFile;
  struct CloseMember;
  class Opened;
  class MemberStream;
  std::string path_;
  std::shared_ptr<Opened> opened_;
  std::vector<ZipMember> members_;
};

}  // namespace simtile::formats
