// Between f32 in registers and the element types in files. Decoding is exact for every type but i8, whose value is the
// binary32 product of the stored integer and the row's scale.
#pragma once

#include <cstddef>
#include <cstdint>

#include "simtile/types.h"

namespace simtile::storage {

float decode_f16(std::uint16_t bits) noexcept;
std::uint16_t encode_f16(float value) noexcept;   // nearest, ties to even; too large becomes infinity
std::uint16_t encode_bf16(float value) noexcept;  // nearest, ties to even; too large becomes infinity

// Decodes one row of `columns` elements. `scale` matters for i8 alone.
void decode_row(ElementType type, const std::byte* row, std::size_t columns, float scale, float* values) noexcept;

// Encodes one row of finite values and gives the row's scale (1 unless the type is i8). Returns the first column whose
// value the type cannot hold, or `columns` when all went in. i8: with `integers_as_they_are` the values must be
// integers of -128..127 and the scale is 1; else scale = max|value| / 127 and values are rounded to nearest.
std::size_t encode_row(ElementType type, const float* values, std::size_t columns, bool integers_as_they_are,
                       std::byte* row, float* scale) noexcept;

}  // namespace simtile::storage
