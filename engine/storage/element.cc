#include "engine/storage/element.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

// Loops over a row's elements, compiled for wider vectors too: no rounding depends on the width.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__) && \
    !defined(__SANITIZE_THREAD__)
#define SIMTILE_FOR_EACH_VECTOR_WIDTH __attribute__((target_clones("default", "avx2", "avx512f"), optimize("O3")))
#else
#define SIMTILE_FOR_EACH_VECTOR_WIDTH
#endif

namespace simtile::storage {
namespace {

template <typename T>
T load(const std::byte* row, std::size_t column) noexcept {
  T value;
  std::memcpy(&value, row + column * sizeof(T), sizeof(T));
  return value;
}

template <typename T>
void store(std::byte* row, std::size_t column, T value) noexcept {
  std::memcpy(row + column * sizeof(T), &value, sizeof(T));
}

// Shifted into place, a half is the float 2^112 times too small, subnormals included: the product is exact. Infinity
// and NaN need all of the exponent's bits. Without branches, so that loops over it can be vectorised.
inline float decoded_f16(std::uint16_t bits) noexcept {
  const std::uint32_t sign = static_cast<std::uint32_t>(bits & 0x8000u) << 16;
  const std::uint32_t magnitude = bits & 0x7fffu;
  const float value = std::bit_cast<float>(magnitude << 13) * 0x1p112f;
  const std::uint32_t not_finite = magnitude >= 0x7c00u ? 0x7f800000u : 0u;
  return std::bit_cast<float>(std::bit_cast<std::uint32_t>(value) | not_finite | sign);
}

SIMTILE_FOR_EACH_VECTOR_WIDTH
void decode_f16_row(const std::byte* row, std::size_t columns, float* values) noexcept {
  for (std::size_t c = 0; c < columns; ++c) values[c] = decoded_f16(load<std::uint16_t>(row, c));
}

SIMTILE_FOR_EACH_VECTOR_WIDTH
void decode_bf16_row(const std::byte* row, std::size_t columns, float* values) noexcept {
  for (std::size_t c = 0; c < columns; ++c)
    values[c] = std::bit_cast<float>(static_cast<std::uint32_t>(load<std::uint16_t>(row, c)) << 16);
}

SIMTILE_FOR_EACH_VECTOR_WIDTH
void decode_i8_row(const std::byte* row, std::size_t columns, float scale, float* values) noexcept {
  for (std::size_t c = 0; c < columns; ++c) values[c] = static_cast<float>(load<std::int8_t>(row, c)) * scale;
}

SIMTILE_FOR_EACH_VECTOR_WIDTH
void decode_u8_row(const std::byte* row, std::size_t columns, float* values) noexcept {
  for (std::size_t c = 0; c < columns; ++c) values[c] = static_cast<float>(load<std::uint8_t>(row, c));
}

// Writes encode(value) for each column until one comes out infinite.
template <typename Encode>
std::size_t encode_halves(const float* values, std::size_t columns, std::uint16_t infinity, std::byte* row,
                          Encode encode) noexcept {
  for (std::size_t c = 0; c < columns; ++c) {
    const std::uint16_t bits = encode(values[c]);
    if ((bits & 0x7fffu) == infinity) return c;
    store(row, c, bits);
  }
  return columns;
}

template <typename Integer>
std::size_t encode_integers(const float* values, std::size_t columns, std::byte* row) noexcept {
  constexpr float kLow = static_cast<float>(std::numeric_limits<Integer>::min());
  constexpr float kHigh = static_cast<float>(std::numeric_limits<Integer>::max());
  for (std::size_t c = 0; c < columns; ++c) {
    if (values[c] < kLow || values[c] > kHigh || values[c] != std::trunc(values[c])) return c;
    store(row, c, static_cast<Integer>(values[c]));
  }
  return columns;
}

void quantize_row(const float* values, std::size_t columns, std::byte* row, float* scale) noexcept {
  float largest = 0.0f;
  for (std::size_t c = 0; c < columns; ++c) largest = std::max(largest, std::fabs(values[c]));
  // A row of zeros, or of values too small to divide, keeps scale 1 and quantises to zeros.
  const float step = largest / 127.0f;
  *scale = step > 0.0f ? step : 1.0f;
  for (std::size_t c = 0; c < columns; ++c)
    store(row, c, static_cast<std::int8_t>(std::clamp(std::nearbyint(values[c] / *scale), -127.0f, 127.0f)));
}

}  // namespace

float decode_f16(std::uint16_t bits) noexcept { return decoded_f16(bits); }

std::uint16_t encode_f16(float value) noexcept {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  const auto sign = static_cast<std::uint16_t>((bits >> 16) & 0x8000u);
  const std::uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return static_cast<std::uint16_t>(sign | 0x7e00u);
  if (magnitude >= 0x477ff000u) return static_cast<std::uint16_t>(sign | 0x7c00u);  // 65520 and more round to infinity
  if (magnitude < 0x38800000u) {                                                    // below 2^-14: a multiple of 2^-24
    const float steps = std::bit_cast<float>(magnitude) * 0x1p24f;
    return static_cast<std::uint16_t>(sign | static_cast<std::uint16_t>(std::nearbyint(steps)));
  }
  const std::uint32_t rounded = magnitude - (112u << 23) + 0xfffu + ((magnitude >> 13) & 1u);
  return static_cast<std::uint16_t>(sign | (rounded >> 13));
}

std::uint16_t encode_bf16(float value) noexcept {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<std::uint16_t>((bits >> 16) | 0x40u);
  return static_cast<std::uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

void decode_row(ElementType type, const std::byte* row, std::size_t columns, float scale, float* values) noexcept {
  switch (type) {
    case ElementType::kF32: std::memcpy(values, row, columns * sizeof(float)); return;
    case ElementType::kF16: decode_f16_row(row, columns, values); return;
    case ElementType::kBF16: decode_bf16_row(row, columns, values); return;
    case ElementType::kI8: decode_i8_row(row, columns, scale, values); return;
    case ElementType::kU8: decode_u8_row(row, columns, values); return;
  }
}

std::size_t encode_row(ElementType type, const float* values, std::size_t columns, bool integers_as_they_are,
                       std::byte* row, float* scale) noexcept {
  *scale = 1.0f;
  switch (type) {
    case ElementType::kF32: std::memcpy(row, values, columns * sizeof(float)); return columns;
    case ElementType::kF16: return encode_halves(values, columns, 0x7c00u, row, encode_f16);
    case ElementType::kBF16: return encode_halves(values, columns, 0x7f80u, row, encode_bf16);
    case ElementType::kU8: return encode_integers<std::uint8_t>(values, columns, row);
    case ElementType::kI8:
      if (integers_as_they_are) return encode_integers<std::int8_t>(values, columns, row);
      quantize_row(values, columns, row, scale);
      return columns;
  }
  return columns;
}

}  // namespace simtile::storage
