// Rows of numbers that follow each other without gaps: what .npy, .fbin, .safetensors and others hold after their
// headers.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "engine/formats/byte_stream.h"
#include "engine/formats/numeric.h"
#include "engine/formats/row_source.h"

namespace simtile::formats {

struct DenseLayout {
  std::uint64_t rows = 0;
  std::uint64_t columns = 0;
  NumericType type = NumericType::kF32;
};

// A dense row is held in memory whole: the one size that bounds what an import needs.
inline constexpr std::uint64_t kMaxDenseColumns = std::uint64_t{1} << 24;

// The bytes that such rows take. Throws Error(kCorrupt) for shapes that cannot be; `name` is whose they are.
std::uint64_t dense_bytes(const DenseLayout& layout, const std::string& name);

// How many rows of `columns` f32 values make a batch.
std::uint64_t rows_per_batch(std::uint64_t columns) noexcept;

// Decodes whole rows from `bytes` to `values`; Error(kCorrupt) for a value that f32 cannot hold, naming its place.
void decode_rows(NumericType type, const std::byte* bytes, std::uint64_t first_row, std::uint64_t columns,
                 std::span<float> values, const std::string& name);

// Reads rows from where the stream stands, to its end: more bytes are an Error(kCorrupt).
std::unique_ptr<RowSource> make_dense_source(std::unique_ptr<ByteStream> stream, const DenseLayout& layout);

}  // namespace simtile::formats
