// Decoding of the narrow types, every bit pattern; and the block hash, whatever instruction set computes it.
#include "engine/storage/element.h"

#include <gtest/gtest.h>
#include <xxhash.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "engine/storage/block_hash.h"

namespace simtile::storage {
namespace {

// IEEE 754 binary16, by the book.
float half_by_definition(std::uint16_t bits) {
  const int exponent = (bits >> 10) & 0x1f;
  const int fraction = bits & 0x3ff;
  float value = 0.0f;
  if (exponent == 31)
    value = fraction == 0 ? std::numeric_limits<float>::infinity() : std::numeric_limits<float>::quiet_NaN();
  else if (exponent == 0)
    value = std::ldexp(static_cast<float>(fraction), -24);
  else
    value = std::ldexp(static_cast<float>(1024 + fraction), exponent - 25);
  return (bits & 0x8000) != 0 ? -value : value;
}

bool same(float a, float b) {
  return (std::isnan(a) && std::isnan(b)) || std::bit_cast<std::uint32_t>(a) == std::bit_cast<std::uint32_t>(b);
}

template <typename T>
std::vector<float> decode(ElementType type, const std::vector<T>& stored, float scale = 1.0f) {
  std::vector<float> values(stored.size());
  decode_row(type, reinterpret_cast<const std::byte*>(stored.data()), stored.size(), scale, values.data());
  return values;
}

TEST(Element, EveryHalfDecodesByTheDefinition) {
  std::vector<std::uint16_t> halves(65536);
  for (std::size_t i = 0; i < halves.size(); ++i) halves[i] = static_cast<std::uint16_t>(i);
  const std::vector<float> row = decode(ElementType::kF16, halves);
  for (std::size_t i = 0; i < halves.size(); ++i) {
    ASSERT_TRUE(same(decode_f16(halves[i]), half_by_definition(halves[i]))) << i;
    ASSERT_TRUE(same(row[i], half_by_definition(halves[i]))) << i;
  }
}

TEST(Element, EveryHalfComesBackFromItsEncoding) {
  for (std::uint32_t i = 0; i < 65536; ++i) {
    const auto half = static_cast<std::uint16_t>(i);
    if (!std::isnan(half_by_definition(half))) {
      ASSERT_EQ(encode_f16(decode_f16(half)), half) << i;
    }
  }
}

TEST(Element, OtherTypesDecodeByTheDefinition) {
  std::vector<std::uint16_t> bfloats;
  for (std::uint32_t i = 0; i < 65536; i += 7) bfloats.push_back(static_cast<std::uint16_t>(i));
  const std::vector<float> from_bfloats = decode(ElementType::kBF16, bfloats);
  for (std::size_t i = 0; i < bfloats.size(); ++i)
    ASSERT_TRUE(same(from_bfloats[i], std::bit_cast<float>(static_cast<std::uint32_t>(bfloats[i]) << 16))) << i;
  std::vector<std::int8_t> bytes;
  for (int i = -128; i < 128; ++i) bytes.push_back(static_cast<std::int8_t>(i));
  const std::vector<float> from_signed = decode(ElementType::kI8, bytes, 0.3f);
  const std::vector<float> from_unsigned = decode(ElementType::kU8, bytes);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    EXPECT_EQ(from_signed[i], static_cast<float>(bytes[i]) * 0.3f);
    EXPECT_EQ(from_unsigned[i], static_cast<float>(static_cast<std::uint8_t>(bytes[i])));
  }
}

TEST(BlockHash, IsXxh3WhateverTheInstructionSet) {
  std::vector<unsigned char> bytes(70000);
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<unsigned char>(i * 2654435761u >> 24);
  for (const std::size_t count : {0u, 1u, 16u, 17u, 128u, 240u, 241u, 1024u, 4096u, 65535u, 65536u, 70000u}) {
    const std::uint64_t expected = XXH3_64bits(bytes.data(), count);
    EXPECT_EQ(hash_block(bytes.data(), count), expected) << count;
    if (__builtin_cpu_supports("avx2")) {
      EXPECT_EQ(hash_block_avx2(bytes.data(), count), expected) << count;
    }
    if (__builtin_cpu_supports("avx512f")) {
      EXPECT_EQ(hash_block_avx512(bytes.data(), count), expected) << count;
    }
  }
}

}  // namespace
}  // namespace simtile::storage
