#include "simtile/verify.h"

#include <algorithm>
#include <array>
#include <span>

#include "engine/storage/matrix_file.h"
#include "engine/storage/neighbours_file.h"
#include "engine/storage/screen_file.h"
#include "simtile/error.h"

namespace simtile {

std::string_view to_string(FileKind kind) noexcept {
  switch (kind) {
    case FileKind::kMatrix: return "matrix";
    case FileKind::kNeighbours: return "neighbours";
    case FileKind::kScreen: return "screen";
  }
  return "unknown";
}

FileKind identify_file(const std::string& path) {
  std::array<char, 8> magic{};
  const os::File file = os::File::open_for_reading(path);
  file.read_at(std::as_writable_bytes(std::span(magic)), 0);
  if (std::ranges::equal(magic, storage::kMatrixMagic)) return FileKind::kMatrix;
  if (std::ranges::equal(magic, storage::kNeighboursMagic)) return FileKind::kNeighbours;
  if (std::ranges::equal(magic, storage::kScreenMagic)) return FileKind::kScreen;
  throw Error(ErrorCode::kCorrupt, "'" + path + "' is not a simtile file (wrong magic at offset 0); import it first");
}

VerifySummary verify_file(const std::string& path) {
  const auto verify = [](FileKind kind, const storage::ContainerFile& container) {
    container.verify_all();
    return VerifySummary{kind, container.header().file_bytes, container.header().block_count};
  };
  const FileKind kind = identify_file(path);
  switch (kind) {
    case FileKind::kMatrix: return verify(kind, storage::MatrixFile::open(path).container());
    case FileKind::kNeighbours: return verify(kind, storage::NeighboursFile::open(path).container());
    case FileKind::kScreen: return verify(kind, storage::ScreenFile::open(path).container());
  }
  return {};
}

}  // namespace simtile
