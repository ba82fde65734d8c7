#include <cstring>

#include "engine/kernels/stored_rows.h"
#include "engine/storage/element.h"

namespace simtile::kernels {
namespace {

template <typename Stored>
Stored load(const std::byte* element) {
  Stored stored;
  std::memcpy(&stored, element, sizeof stored);
  return stored;
}

// How an element is stored, and its value.
struct F32 {
  static constexpr std::size_t kBytes = sizeof(float);
  static float value(const std::byte* element) { return load<float>(element); }
};
struct F16 {
  static constexpr std::size_t kBytes = sizeof(std::uint16_t);
  static float value(const std::byte* element) { return storage::decode_f16(load<std::uint16_t>(element)); }
};
struct BF16 {
  static constexpr std::size_t kBytes = sizeof(std::uint16_t);
  static float value(const std::byte* element) {
    const std::uint32_t bits = std::uint32_t{load<std::uint16_t>(element)} << 16;
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
  }
};

template <typename Element>
void multiply_floats(const StoredRows& rows) {
  for (std::uint32_t b = 0; b < rows.base_count; ++b) {
    const std::byte* base = rows.base_rows + b * rows.base_row_stride;
    const auto product_with = [&](auto query) {
      float sum = 0.0f;
      for (std::uint32_t d = 0; d < rows.dims; ++d) sum += query(d) * Element::value(base + d * Element::kBytes);
      return sum;
    };
    rows.squares[b] = product_with([&](std::uint32_t d) { return Element::value(base + d * Element::kBytes); });
    for (std::uint32_t q = 0; q < rows.query_count; ++q) {
      const float* query = rows.queries + std::size_t{q} * rows.dims;
      rows.products[std::size_t{q} * rows.base_count + b] = product_with([&](std::uint32_t d) { return query[d]; });
    }
  }
}

template <typename Integer>
void multiply_integers(const StoredRows& rows) {
  for (std::uint32_t b = 0; b < rows.base_count; ++b) {
    const std::byte* base = rows.base_rows + b * rows.base_row_stride;
    const auto product_with = [&](auto query) {
      std::int64_t sum = 0;
      for (std::uint32_t d = 0; d < rows.dims; ++d) sum += std::int64_t{query(d)} * load<Integer>(base + d);
      return static_cast<float>(sum);
    };
    rows.squares[b] = product_with([&](std::uint32_t d) { return load<Integer>(base + d); });
    for (std::uint32_t q = 0; q < rows.query_count; ++q) {
      const std::int16_t* query = rows.integer_queries + std::size_t{q} * rows.dims;
      rows.products[std::size_t{q} * rows.base_count + b] = product_with([&](std::uint32_t d) { return query[d]; });
    }
  }
}

}  // namespace

const StoredRowsKernel kScalarStoredRows{
    .f32 = multiply_floats<F32>,
    .f16 = multiply_floats<F16>,
    .bf16 = multiply_floats<BF16>,
    .i8 = multiply_integers<std::int8_t>,
    .u8 = multiply_integers<std::uint8_t>,
};

}  // namespace simtile::kernels
