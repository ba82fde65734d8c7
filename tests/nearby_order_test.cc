// The order in which a screen's panels take rows: all of them, and likely neighbours side by side.
#include "engine/screen/nearby_order.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <random>
#include <vector>

namespace simtile::screen {
namespace {

constexpr std::uint64_t kStride = kOrderingDims + 3;

// Row r lies near centre r % centres.
std::vector<float> rows_near(std::uint32_t centres, std::uint32_t rows) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  std::vector<float> centre_values(centres * kStride);
  for (float& value : centre_values) value = 10.0f * normal(random);
  std::vector<float> values(rows * kStride);
  for (std::uint32_t r = 0; r < rows; ++r)
    for (std::uint64_t d = 0; d < kStride; ++d)
      values[r * kStride + d] = centre_values[r % centres * kStride + d] + 0.01f * normal(random);
  return values;
}

std::vector<std::uint32_t> numbers(std::uint32_t count) {
  std::vector<std::uint32_t> all(count);
  std::iota(all.begin(), all.end(), 0u);
  return all;
}

TEST(NearbyOrder, HasEveryRowOnce) {
  const std::vector<float> values = rows_near(7, 1000);
  for (const std::uint32_t count : {0u, 1u, 5u, 6u, 7u, 999u, 1000u})
    for (const std::uint32_t width : {1u, 4u, 6u, 14u, 32u}) {
      std::vector<std::uint32_t> order = numbers(count);
      order_nearby({values.data(), kStride, nullptr}, width, order);
      std::sort(order.begin(), order.end());
      EXPECT_EQ(order, numbers(count));
    }
}

TEST(NearbyOrder, FillsPanelsWithRowsThatLieTogether) {
  constexpr std::uint32_t kCentres = 16, kWidth = 8;
  const std::vector<float> values = rows_near(kCentres, kCentres * kWidth);
  std::vector<std::uint32_t> order = numbers(kCentres * kWidth);
  order_nearby({values.data(), kStride, nullptr}, kWidth, order);
  std::uint32_t apart = 0;
  for (std::size_t place = 0; place < order.size(); ++place)
    apart += order[place] % kCentres != order[place / kWidth * kWidth] % kCentres;
  // Halves need not fall between centres.
  EXPECT_LT(apart, order.size() / 4);
}

TEST(NearbyOrder, LooksAtScaledCoordinates) {
  // Two directions, and lengths from 1 to 401, by which they would be halved if they were not scaled.
  std::vector<float> values(64 * kStride), scales(64);
  for (std::uint32_t r = 0; r < 64; ++r) {
    const float length = static_cast<float>(1 + r % 5 * 100);
    scales[r] = 1.0f / length;
    values[r * kStride] = length;
    values[r * kStride + 1] = r % 2 == 0 ? 0.3f * length : -0.3f * length;
  }
  std::vector<std::uint32_t> order = numbers(64);
  order_nearby({values.data(), kStride, scales.data()}, 32, order);
  for (std::size_t place = 0; place < 64; ++place) EXPECT_EQ(order[place] % 2, order[place / 32 * 32] % 2);
}

TEST(NearbyOrder, TakesRowsThatAreAllAlike) {
  const std::vector<float> values(500 * kStride, 2.0f);
  std::vector<std::uint32_t> order = numbers(500);
  order_nearby({values.data(), kStride, nullptr}, 6, order);
  std::sort(order.begin(), order.end());
  EXPECT_EQ(order, numbers(500));
}

}  // namespace
}  // namespace simtile::screen
