// .fbin, .f16bin, .u8bin, .i8bin: u32 rows, u32 columns, then the rows, all little-endian.
#include <array>

#include "engine/formats/dense_source.h"
#include "engine/formats/sources.h"
#include "simtile/error.h"

namespace simtile::formats {
namespace {

std::unique_ptr<RowSource> open_bin(const SourceRequest& request, NumericType type) {
  os::File file = os::File::open_for_reading(request.path);
  const std::uint64_t file_bytes = file.size();
  auto stream = std::make_unique<FileStream>(std::move(file));
  std::array<std::uint32_t, 2> extents{};
  stream->read_exactly(std::as_writable_bytes(std::span(extents)));
  const DenseLayout layout{extents[0], extents[1], type};
  const std::uint64_t bytes = dense_bytes(layout, request.path);
  if (file_bytes - sizeof extents != bytes)
    throw Error(ErrorCode::kCorrupt, "'" + request.path + "' has " + std::to_string(file_bytes - sizeof extents) +
                                         " bytes after offset 8, but the " + std::to_string(layout.rows) + " x " +
                                         std::to_string(layout.columns) + " values that it says it has need " +
                                         std::to_string(bytes) + "; it was cut short, or has other elements");
  return make_dense_source(std::move(stream), layout);
}

}  // namespace

std::unique_ptr<RowSource> open_fbin(const SourceRequest& request) { return open_bin(request, NumericType::kF32); }
std::unique_ptr<RowSource> open_f16bin(const SourceRequest& request) { return open_bin(request, NumericType::kF16); }
std::unique_ptr<RowSource> open_u8bin(const SourceRequest& request) { return open_bin(request, NumericType::kU8); }
std::unique_ptr<RowSource> open_i8bin(const SourceRequest& request) { return open_bin(request, NumericType::kI8); }

}  // namespace simtile::formats
