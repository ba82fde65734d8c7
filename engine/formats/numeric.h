// The number types that foreign files hold, and how they become f32.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "simtile/types.h"

namespace simtile::formats {

// Little-endian, as they stand in the file.
enum class NumericType { kF16, kBF16, kF32, kF64, kI8, kU8, kI16, kU16, kI32, kU32, kI64, kU64 };

std::size_t numeric_bytes(NumericType type) noexcept;
// Integers of 32 or 64 bits: what counts and indices are kept in.
bool is_count_type(NumericType type) noexcept;
// The element type that a matrix file keeps such numbers in when nobody asks for another.
ElementType natural_element_type(NumericType type) noexcept;

// Decodes values.size() numbers. Returns the index of the first that is finite but too large for f32, or
// values.size(); integers of 32 and 64 bits, and f64, are rounded to the nearest f32.
std::size_t decode_numbers(NumericType type, const std::byte* bytes, std::span<float> values) noexcept;
// The same for integers that count something. Returns the index of the first negative one, or values.size().
std::size_t decode_counts(NumericType type, const std::byte* bytes, std::span<std::uint64_t> values) noexcept;

// Reads one decimal number, which must be the whole text. A sign in front is fine; "nan" and "inf" are read as such,
// for the matrix writer to refuse with row and column. False when it is no number, or beyond f32.
bool parse_number(std::string_view text, float* value) noexcept;
// Digits alone; false on anything else and on overflow.
bool parse_count(std::string_view text, std::uint64_t* value) noexcept;
// Takes the next token, up to a space or a tab, off the front of `text`; empty when there is none.
std::string_view take_token(std::string_view* text) noexcept;

}  // namespace simtile::formats
