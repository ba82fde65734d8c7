// The total order of candidates, thresholds, and reservoirs.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "engine/topk/candidate_key.h"
#include "engine/topk/reservoirs.h"
#include "engine/topk/sort_keys.h"

namespace simtile::topk {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
const float kScores[] = {-kInfinity, -1e30f,   -1.0f, -1e-45f, 0.0f, 1e-45f, 0.5f, 1.0f, std::nextafter(1.0f, 2.0f),
                         3e38f,      kInfinity};

TEST(CandidateKey, OrdersByScoreThenRow) {
  for (const bool larger : {true, false})
    for (const float a : kScores)
      for (const float b : kScores)
        for (const std::uint32_t row_a : {0u, 7u})
          for (const std::uint32_t row_b : {0u, 7u}) {
            const bool before = a != b ? (larger ? a > b : a < b) : row_a < row_b;
            EXPECT_EQ(make_key(larger, a, row_a) < make_key(larger, b, row_b), before) << a << ' ' << b;
          }
}

TEST(CandidateKey, KeepsScoreAndRow) {
  for (const bool larger : {true, false})
    for (const float score : kScores) {
      const Key key = make_key(larger, score, 123456789u);
      EXPECT_EQ(key_score(larger, key), score);
      EXPECT_EQ(key_row(key), 123456789u);
    }
}

TEST(CandidateKey, ZeroHasOneSign) {
  EXPECT_EQ(make_key(true, -0.0f, 3), make_key(true, 0.0f, 3));
  EXPECT_EQ(make_key(false, -0.0f, 3), make_key(false, 0.0f, 3));
}

// A threshold must let through every score that could have a key below the bound, and, but for infinities, no other.
TEST(CandidateKey, ThresholdIsExact) {
  for (const bool larger : {true, false})
    for (const float bound_score : kScores)
      for (const std::uint32_t bound_row : {0u, 5u, 10u})
        for (const std::uint64_t first_row : {0u, 5u, 6u, 10u, 11u}) {
          const Key bound = make_key(larger, bound_score, bound_row);
          const float threshold = threshold_score(larger, bound, first_row);
          ASSERT_FALSE(std::isnan(threshold));
          for (const float score : kScores) {
            const bool could_enter = make_key(larger, score, static_cast<std::uint32_t>(first_row)) < bound;
            const bool passes = larger ? score >= threshold : score <= threshold;
            if (could_enter || std::isfinite(score)) {
              EXPECT_EQ(passes, could_enter) << score << " against " << bound_score;
            }
          }
        }
}

TEST(CandidateKey, BoundOfMinScoreAdmitsThatScoreInAnyRow) {
  for (const bool larger : {true, false}) {
    const Key bound = bound_of_min_score(larger, 0.5f);
    EXPECT_LT(make_key(larger, 0.5f, 0xfffffffeu), bound);
    EXPECT_GE(make_key(larger, std::nextafter(0.5f, larger ? 0.0f : 1.0f), 0), bound);
    EXPECT_EQ(threshold_score(larger, bound, 0), 0.5f);
  }
  EXPECT_EQ(bound_of_min_score(true, std::nullopt), kNoBound);
  EXPECT_EQ(threshold_score(true, kNoBound, 0), -kInfinity);
  EXPECT_EQ(threshold_score(false, kNoBound, 0), kInfinity);
}

TEST(Reservoirs, KeepTheBestWhateverTheOrder) {
  std::mt19937_64 random(3);
  for (const std::uint64_t top_k : {1u, 2u, 10u, 100u})
    for (const std::uint64_t capacity : {top_k + 1, 2 * top_k + 7}) {
      PageBudget budget(std::uint64_t{1} << 30);
      Bounds bounds(budget, 10, kNoBound);
      Reservoirs reservoirs(budget, bounds, kernels::select_kernel(Isa::kAuto).prune_keys, 4, 3, top_k, capacity);
      std::vector<Key> keys(1000);
      for (Key& key : keys) key = random();
      for (const Key key : keys) reservoirs.insert(5, key);
      std::sort(keys.begin(), keys.end());
      const auto best = reservoirs.sorted(5);
      EXPECT_TRUE(std::equal(best.begin(), best.end(), keys.begin(), keys.begin() + static_cast<long>(top_k)));
      EXPECT_TRUE(reservoirs.sorted(4).empty());
      EXPECT_LE(keys[top_k - 1], bounds.load(5));
      reservoirs.reset(7, 2);
      EXPECT_TRUE(reservoirs.sorted(8).empty());
    }
}

// What a row holds beyond its best is not told of, even where fewer of those name rows in the range: it could pass for
// one of the best.
TEST(Reservoirs, CopyThoseOfTheBestThatNameRowsInARange) {
  PageBudget budget(std::uint64_t{1} << 20);
  Bounds bounds(budget, 1, kNoBound);
  Reservoirs reservoirs(budget, bounds, kernels::select_kernel(Isa::kAuto).prune_keys, 0, 1, 3, 8);
  const auto key_of = [](std::uint32_t row) { return make_key(true, 1.0f - 0.1f * static_cast<float>(row), row); };
  for (const std::uint32_t row : {4u, 2u, 1u, 3u, 0u}) reservoirs.insert(0, key_of(row));
  std::vector<Key> best;
  reservoirs.copy_best(0, 2, 5, best);
  EXPECT_EQ(best, std::vector<Key>{key_of(2)});
  reservoirs.copy_best(0, 0, 5, best);
  EXPECT_EQ(best, (std::vector<Key>{key_of(0), key_of(1), key_of(2)}));
  reservoirs.copy_best(0, 3, 5, best);
  EXPECT_TRUE(best.empty());
}

TEST(SortKeys, AscendsWhateverTheCount) {
  std::mt19937_64 random(4);
  for (const std::size_t count : {0u, 1u, 2u, 31u, 32u, 33u, 100u, 1256u, 20000u}) {
    std::vector<Key> keys(count);
    for (Key& key : keys) key = random() >> (random() % 2 * 40);
    std::vector<Key> expected = keys;
    std::sort(expected.begin(), expected.end());
    sort_keys(keys.data(), keys.size());
    EXPECT_EQ(keys, expected) << count;
    sort_keys(keys.data(), keys.size());
    EXPECT_EQ(keys, expected) << count;
  }
}

}  // namespace
}  // namespace simtile::topk
