// Whole-file checks.
#pragma once

#include <cstdint>
#include <string>

namespace simtile {

enum class FileKind { kMatrix, kNeighbours };

// Goes by the magic. Throws Error(kCorrupt) when it is neither, Error(kIo) when it cannot be read.
FileKind identify_file(const std::string& path);

struct VerifySummary {
  FileKind kind;
  std::uint64_t bytes = 0;
  std::uint64_t blocks = 0;  // checksummed blocks that were read and matched
};

// Reads every byte of a simtile file in bounded memory and checks every checksum. Throws Error(kCorrupt) that names the
// first damaged block.
VerifySummary verify_file(const std::string& path);

}  // namespace simtile
