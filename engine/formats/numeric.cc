#include "engine/formats/numeric.h"

#include <charconv>
#include <cmath>
#include <cstring>
#include <system_error>

#include "engine/storage/element.h"

namespace simtile::formats {
namespace {

template <typename T>
T load(const std::byte* bytes, std::size_t index) noexcept {
  T value;
  std::memcpy(&value, bytes + index * sizeof(T), sizeof(T));
  return value;
}

template <typename T>
void decode_integers(const std::byte* bytes, std::span<float> values) noexcept {
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(load<T>(bytes, i));
}

// Conversion of what is too large gives infinity.
std::size_t decode_f64(const std::byte* bytes, std::span<float> values) noexcept {
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double value = load<double>(bytes, i);
    values[i] = static_cast<float>(value);
    if (std::isinf(values[i]) && !std::isinf(value)) return i;
  }
  return values.size();
}

template <typename T>
std::size_t decode_counts_of(const std::byte* bytes, std::span<std::uint64_t> values) noexcept {
  for (std::size_t i = 0; i < values.size(); ++i) {
    const T value = load<T>(bytes, i);
    if constexpr (std::is_signed_v<T>)
      if (value < 0) return i;
    values[i] = static_cast<std::uint64_t>(value);
  }
  return values.size();
}

bool is_blank(char c) noexcept { return c == ' ' || c == '\t'; }

}  // namespace

std::size_t numeric_bytes(NumericType type) noexcept {
  switch (type) {
    case NumericType::kI8:
    case NumericType::kU8: return 1;
    case NumericType::kF16:
    case NumericType::kBF16:
    case NumericType::kI16:
    case NumericType::kU16: return 2;
    case NumericType::kF32:
    case NumericType::kI32:
    case NumericType::kU32: return 4;
    case NumericType::kF64:
    case NumericType::kI64:
    case NumericType::kU64: return 8;
  }
  return 0;
}

bool is_count_type(NumericType type) noexcept {
  return type == NumericType::kI32 || type == NumericType::kU32 || type == NumericType::kI64 ||
         type == NumericType::kU64;
}

ElementType natural_element_type(NumericType type) noexcept {
  switch (type) {
    case NumericType::kF16: return ElementType::kF16;
    case NumericType::kBF16: return ElementType::kBF16;
    case NumericType::kI8: return ElementType::kI8;
    case NumericType::kU8: return ElementType::kU8;
    default: return ElementType::kF32;
  }
}

std::size_t decode_numbers(NumericType type, const std::byte* bytes, std::span<float> values) noexcept {
  const std::size_t count = values.size();
  switch (type) {
    case NumericType::kF16: storage::decode_row(ElementType::kF16, bytes, count, 1.0f, values.data()); break;
    case NumericType::kBF16: storage::decode_row(ElementType::kBF16, bytes, count, 1.0f, values.data()); break;
    case NumericType::kF32: storage::decode_row(ElementType::kF32, bytes, count, 1.0f, values.data()); break;
    case NumericType::kF64: return decode_f64(bytes, values);
    case NumericType::kI8: decode_integers<std::int8_t>(bytes, values); break;
    case NumericType::kU8: decode_integers<std::uint8_t>(bytes, values); break;
    case NumericType::kI16: decode_integers<std::int16_t>(bytes, values); break;
    case NumericType::kU16: decode_integers<std::uint16_t>(bytes, values); break;
    case NumericType::kI32: decode_integers<std::int32_t>(bytes, values); break;
    case NumericType::kU32: decode_integers<std::uint32_t>(bytes, values); break;
    case NumericType::kI64: decode_integers<std::int64_t>(bytes, values); break;
    case NumericType::kU64: decode_integers<std::uint64_t>(bytes, values); break;
  }
  return count;
}

std::size_t decode_counts(NumericType type, const std::byte* bytes, std::span<std::uint64_t> values) noexcept {
  switch (type) {
    case NumericType::kI32: return decode_counts_of<std::int32_t>(bytes, values);
    case NumericType::kU32: return decode_counts_of<std::uint32_t>(bytes, values);
    case NumericType::kI64: return decode_counts_of<std::int64_t>(bytes, values);
    case NumericType::kU64: return decode_counts_of<std::uint64_t>(bytes, values);
    default: return 0;
  }
}

bool parse_number(std::string_view text, float* value) noexcept {
  if (text.starts_with('+')) {
    text.remove_prefix(1);
    if (text.starts_with('-')) return false;
  }
  double wide = 0.0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), wide);
  if (error != std::errc{} || end != text.data() + text.size()) return false;
  *value = static_cast<float>(wide);
  return !std::isinf(*value) || std::isinf(wide);
}

bool parse_count(std::string_view text, std::uint64_t* value) noexcept {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *value);
  return error == std::errc{} && end == text.data() + text.size();
}

std::string_view take_token(std::string_view* text) noexcept {
  std::size_t begin = 0;
  while (begin < text->size() && is_blank((*text)[begin])) ++begin;
  std::size_t end = begin;
  while (end < text->size() && !is_blank((*text)[end])) ++end;
  const std::string_view token = text->substr(begin, end - begin);
  text->remove_prefix(end);
  return token;
}

}  // namespace simtile::formats
