// The margin with which the inner product decides for l2: it must never lose a pair, and it must be needed.
#include "engine/join/l2_margin.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <random>
#include <vector>

#include "tests/job_oracle.h"

namespace simtile::join {
namespace {

double squared_norm(const std::vector<float>& row) {
  double sum = 0.0;
  for (const float value : row) sum += static_cast<double>(value) * static_cast<double>(value);
  return sum;
}

struct Pair {
  std::vector<float> query, base;
};

// Whether the product lets a pair pass whose score is exactly the threshold, on either side, as the kernel compares.
bool passes(const Pair& pair) {
  const std::uint64_t dims = pair.query.size();
  const L2Margin margin(dims);
  const float score = tests::definition_score(Metric::kL2, pair.query.data(), pair.base.data(), dims);
  const float product = tests::definition_score(Metric::kInnerProduct, pair.query.data(), pair.base.data(), dims);
  const double q = squared_norm(pair.query);
  const double b = squared_norm(pair.base);
  return product >= margin.part_with_threshold(q, score) + margin.part(b) &&
         product >= margin.part(q) + margin.part_with_threshold(b, score);
}

// The same without any margin.
bool passes_exactly(const Pair& pair) {
  const std::uint64_t dims = pair.query.size();
  const float score = tests::definition_score(Metric::kL2, pair.query.data(), pair.base.data(), dims);
  const float product = tests::definition_score(Metric::kInnerProduct, pair.query.data(), pair.base.data(), dims);
  return product >= 0.5 * (squared_norm(pair.query) + squared_norm(pair.base) - static_cast<double>(score));
}

std::vector<Pair> pairs_of(std::uint64_t dims, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  const auto row = [&](const std::function<float()>& value) {
    std::vector<float> values(dims);
    for (float& v : values) v = value();
    return values;
  };
  std::vector<Pair> pairs;
  for (const float scale : {1.0f, 1e-3f, 1e15f, 1e-20f, 1e-23f}) {
    const auto scaled = [&] { return scale * normal(random); };
    pairs.push_back({row(scaled), row(scaled)});
    // Far from the origin and near to each other.
    const auto offset = [&] { return scale * (1000.0f + normal(random)); };
    pairs.push_back({row(offset), row(offset)});
    // Nearly equal: some values one unit in the last place apart.
    Pair near{row(scaled), {}};
    near.base = near.query;
    for (float& v : near.base)
      if (random() % 3 == 0) v = std::nextafter(v, 10.0f * scale);
    pairs.push_back(near);
    pairs.push_back({near.query, near.query});
    // Opposite, and of very different lengths.
    Pair opposite{near.query, near.query};
    for (float& v : opposite.base) v = -v;
    pairs.push_back(opposite);
    pairs.push_back({row(scaled), row([&] { return 1e-6f * scale * normal(random); })});
    // One direction dominates.
    Pair dominated{row(scaled), row(scaled)};
    dominated.query[0] = dominated.base[0] = 3000.0f * scale;
    pairs.push_back(dominated);
  }
  pairs.push_back({std::vector<float>(dims), std::vector<float>(dims)});
  return pairs;
}

TEST(L2Margin, NoPairIsLostAndWithoutAMarginSomeWouldBe) {
  int lost_without = 0;
  int pairs = 0;
  for (const std::uint64_t dims : {1u, 2u, 3u, 16u, 100u, 768u, 4096u})
    for (unsigned seed = 0; seed < (dims > 1000 ? 20u : 200u); ++seed)
      for (const Pair& pair : pairs_of(dims, seed)) {
        ASSERT_TRUE(passes(pair)) << dims << " dimensions, seed " << seed << ", pair " << pairs;
        lost_without += !passes_exactly(pair);
        ++pairs;
      }
  EXPECT_GT(lost_without, pairs / 100) << "the pairs are too tame to prove anything";
}

TEST(L2Margin, OpenAndClosedThresholdsStayWhatTheyAre) {
  const L2Margin margin(100);
  const float infinity = std::numeric_limits<float>::infinity();
  EXPECT_EQ(margin.part_with_threshold(7.0, infinity), -infinity);
  EXPECT_EQ(margin.part_with_threshold(7.0, -infinity), infinity);
  EXPECT_FALSE(L2Margin(std::uint64_t{1} << 24).is_usable());
}

TEST(L2Margin, IsNarrow) {
  const L2Margin margin(128);
  const float sum = margin.part_with_threshold(128.0, 100.0f) + margin.part(128.0);
  EXPECT_NEAR(sum, 0.5 * (256.0 - 100.0), 256.0 * 128 * 0x1p-23);
}

}  // namespace
}  // namespace simtile::join
