// Whole-file checks.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace simtile {

enum class FileKind { kMatrix, kNeighbours, kScreen };

// "matrix", "neighbours", "screen".
std::string_view to_string(FileKind kind) noexcept;

// Goes by the magic. Throws Error(kCorrupt) when it is none of them, Error(kIo) when it cannot be read.
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
