// Plans: every pair once, within the budget, and the smallest budget is what it says.
#include "engine/plan/tile_plan.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "engine/kernels/tile_kernel.h"
#include "engine/plan/memory_model.h"
#include "engine/plan/spill_model.h"
#include "engine/topk/candidate_key.h"
#include "simtile/error.h"

namespace simtile::plan {
namespace {

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;

Shapes dense_shapes(std::uint64_t query_rows, std::uint64_t base_rows, std::uint64_t dims, bool self_join) {
  Shapes shapes;
  shapes.query_rows = query_rows;
  shapes.base_rows = base_rows;
  shapes.dims = dims;
  shapes.self_join = self_join;
  shapes.top_k = 10;
  shapes.threads = 2;
  shapes.query_width = 14;
  shapes.base_width = 32;
  shapes.base = {dims * 4, dims * 4, base_rows * dims * 4};
  shapes.query = {dims * 4, dims * 4, query_rows * dims * 4};
  shapes.fixed_bytes = std::uint64_t{20} << 20;
  return shapes;
}

void with_first_look(Shapes& shapes) {
  shapes.query_width = shapes.base_width = 32;
  shapes.rounded_floats = (shapes.dims + 3 + 31) / 32 * 16;
}

TEST(TilePlan, TilesMeetEveryPairOnceOrTwice) {
  std::mt19937 random(1);
  for (int turn = 0; turn < 200; ++turn) {
    const bool self_join = turn % 2 == 0;
    const std::uint64_t base_rows = 1 + random() % 90;
    const Shapes shapes = dense_shapes(self_join ? base_rows : 1 + random() % 90, base_rows, 8, self_join);
    TilePlan plan;
    plan.scores_twice = turn % 4 == 0;
    plan.resident = !plan.scores_twice;
    const bool later_alone = self_join && !plan.scores_twice;
    plan.stripe_rows = 1 + random() % 40;
    plan.tile_columns = 1 + random() % 40;
    std::vector<int> met(shapes.query_rows * base_rows);
    std::uint64_t tiles = 0;
    Tile previous;
    for (TileCursor cursor(shapes, plan); !cursor.at_end(); cursor.advance(), ++tiles) {
      const Tile& tile = cursor.tile();
      const std::uint64_t first_column = later_alone ? tile.query_begin : 0;
      EXPECT_EQ(tile.for_queries_alone, plan.scores_twice);
      EXPECT_EQ(tile.first_of_stripe,
                tile.stripe % 2 == 0 ? tile.base_begin == first_column : tile.base_end == base_rows);
      EXPECT_EQ(tile.last_of_stripe,
                tile.stripe % 2 == 0 ? tile.base_end == base_rows : tile.base_begin == first_column);
      // Neighbouring tiles follow each other, and a turn begins where the stripe before it ended.
      if (tiles > 0) {
        EXPECT_TRUE(tile.base_begin == previous.base_end || tile.base_end == previous.base_begin ||
                    tile.first_of_stripe);
      }
      previous = tile;
      for (std::uint64_t q = tile.query_begin; q < tile.query_end; ++q)
        for (std::uint64_t b = tile.base_begin; b < tile.base_end; ++b)
          if (!later_alone || b > q) ++met[q * base_rows + b];
    }
    std::uint64_t pairs = 0;
    for (std::uint64_t q = 0; q < shapes.query_rows; ++q)
      for (std::uint64_t b = 0; b < base_rows; ++b) {
        const bool wanted = !later_alone || b > q;
        EXPECT_EQ(met[q * base_rows + b], wanted ? 1 : 0);
        pairs += wanted && (!self_join || b != q);
      }
    const Work work = work_of(shapes, plan);
    EXPECT_EQ(work.tiles, tiles);
    EXPECT_EQ(work.pairs_scored, pairs);
    EXPECT_EQ(pairs_of_rows(shapes, plan, 0, shapes.query_rows), pairs);
  }
}

TEST(TilePlan, StaysWithinEveryBudgetFromTheSmallestOn) {
  std::mt19937_64 random(2);
  for (int turn = 0; turn < 300; ++turn) {
    const bool self_join = turn % 3 != 0;
    const std::uint64_t rows = 1 + random() % (turn % 2 == 0 ? 2'000 : 2'000'000);
    Shapes shapes = dense_shapes(self_join ? rows : 1 + random() % 100'000, rows, 1 + random() % 4096, self_join);
    shapes.top_k = 1 + random() % 1000;
    shapes.threads = 1 + static_cast<std::uint32_t>(random() % 8);
    if (turn % 5 == 0) with_first_look(shapes);
    const std::uint64_t smallest = smallest_budget(shapes);
    EXPECT_THROW(make_plan(shapes, smallest - 1), Error);
    for (std::uint64_t budget = smallest; budget < smallest * 64; budget += budget / 2) {
      const TilePlan plan = make_plan(shapes, budget);
      EXPECT_LE(plan.planned_bytes, budget);
      EXPECT_GE(plan.stripe_rows, 1u);
      EXPECT_LE(plan.stripe_rows, 1u << 16) << "pair numbers have 16 bits for a stripe's rows";
      EXPECT_LE(plan.tile_columns, 1u << 16);
      EXPECT_GT(plan.reservoir_capacity, plan.kept);
    }
  }
}

// A process that grew by some hundred KiB between the plan and the job may count as one step more.
TEST(TilePlan, TheBudgetThatIsNamedHasRoomForAProcessOfOneStepMore) {
  for (std::uint64_t smallest = kMiB; smallest <= 2 * kMiB; smallest += kMiB / 8) {
    EXPECT_GE(announced_budget(smallest), smallest + kProcessStepBytes);
    EXPECT_EQ(announced_budget(smallest) % kMiB, 0u);
  }
}

TEST(TilePlan, RefusesWhatNoJobCanBe) {
  Shapes shapes = dense_shapes(10, 10, 4, true);
  shapes.top_k = 0;
  EXPECT_THROW(make_plan(shapes, std::uint64_t{1} << 40), Error);
  shapes = dense_shapes(10, topk::kMaxRows, 4, false);
  EXPECT_THROW(make_plan(shapes, std::uint64_t{1} << 40), Error);
}

TEST(TilePlan, MoreNeighboursThanRowsKeepsWhatThereIs) {
  Shapes shapes = dense_shapes(5, 5, 4, true);
  shapes.top_k = 1'000'000;
  EXPECT_EQ(make_plan(shapes, std::uint64_t{1} << 30).kept, 4u);
  shapes = dense_shapes(1, 1, 4, true);
  EXPECT_EQ(make_plan(shapes, std::uint64_t{1} << 30).kept, 1u);
}

// However many coordinates a screen file keeps of each row.
TEST(TilePlan, AScreenHasNoMoreStopsThanItsKernelsTake) {
  EXPECT_EQ(ScreenShape::most_stops(16), 0u);
  EXPECT_EQ(ScreenShape::most_stops(32), 1u);
  EXPECT_EQ(ScreenShape::most_stops(48), 2u);
  EXPECT_EQ(ScreenShape::most_stops(256), 4u);
  EXPECT_EQ(ScreenShape::most_stops(1 << 20), kernels::ScreenStops::kMost);
}

// Base rows are made ready once for each stripe, which weighs where pairs are cheap; a long job stays resumable.
TEST(TilePlan, CheapPairsHaveFewStripesWhereTheJobIsSoonOver) {
  struct Case {
    std::uint64_t query_rows, base_rows, stripes;
  };
  for (const Case& c : {Case{10'000, 60'000, 2}, Case{5'000, 60'000, 1}, Case{60'000, 60'000, 12},
                        Case{10'000, 10'000, 12}, Case{10'000, 100'000'000, 12}}) {
    Shapes shapes = dense_shapes(c.query_rows, c.base_rows, 784, false);
    with_first_look(shapes);
    const TilePlan plan = make_plan(shapes, std::uint64_t{8} << 30);
    EXPECT_EQ((c.query_rows + plan.stripe_rows - 1) / plan.stripe_rows, c.stripes)
        << c.query_rows << " x " << c.base_rows;
  }
}

// Not on account of an estimate: what fits in memory stays there.
TEST(TilePlan, AnythingGoesToDiskOnlyWhenItDoesNotFit) {
  for (const std::uint64_t top_k : {std::uint64_t{1}, std::uint64_t{10}, std::uint64_t{300}}) {
    Shapes shapes = dense_shapes(200'000, 200'000, 256, true);
    shapes.top_k = top_k;
    const TilePlan roomy = make_plan(shapes, std::uint64_t{8} << 30);
    EXPECT_TRUE(roomy.resident);
    EXPECT_EQ(make_plan(shapes, roomy.planned_bytes).stripe_rows, roomy.stripe_rows);
    EXPECT_FALSE(make_plan(shapes, smallest_budget(shapes)).resident);
  }
}

// A second score of a pair of few dimensions costs less than what is found at its first on its way to disk and back;
// sparse rows and shards score pairs once.
TEST(TilePlan, WhatDoesNotFitIsSpilledOrScoredTwice) {
  const auto plan_of = [](std::uint64_t dims, std::uint64_t top_k, PairScoring pairs) {
    Shapes shapes = dense_shapes(100'000, 100'000, dims, true);
    shapes.top_k = top_k;
    shapes.pairs = pairs;
    return make_plan(shapes, smallest_budget(shapes) + (std::uint64_t{16} << 20));
  };
  EXPECT_FALSE(plan_of(512, 10, PairScoring::kAuto).scores_twice);
  EXPECT_TRUE(plan_of(512, 10, PairScoring::kTwice).scores_twice);
  EXPECT_TRUE(plan_of(16, 1000, PairScoring::kAuto).scores_twice);
  EXPECT_FALSE(plan_of(16, 1000, PairScoring::kOnce).scores_twice);
  Shapes shapes = dense_shapes(100'000, 100'000, 16, true);
  shapes.top_k = 1000;
  const std::uint64_t budget = smallest_budget(shapes) + (std::uint64_t{16} << 20);
  EXPECT_FALSE(spills(shapes, make_plan(shapes, budget)));
  EXPECT_TRUE(make_plan(shapes, std::uint64_t{8} << 30).resident);
  shapes.part.query_end = shapes.query_rows;
  EXPECT_TRUE(spills(shapes, make_plan(shapes, budget)));
  shapes.part = {};
  shapes.sparse = true;
  EXPECT_TRUE(spills(shapes, make_plan(shapes, budget)));
}

// Measured: 1.351 GB of a self-join of 200,000 gaussian rows in 48 MiB, and 0.882 GB in 64 MiB.
TEST(TilePlan, WhatIsSpilledIsEstimated) {
  Shapes shapes;
  shapes.query_rows = shapes.base_rows = 200'000;
  shapes.self_join = true;
  TilePlan plan;
  plan.resident = false;
  plan.kept = 50;
  plan.stripe_rows = 4512;
  plan.spill_bytes = std::uint64_t{6} << 20;
  const auto bytes = [&] { return static_cast<double>(spilled_bytes(shapes, plan)); };
  EXPECT_NEAR(bytes(), 1.351e9, 0.05 * 1.351e9);
  plan.stripe_rows = 7456;
  plan.spill_bytes = std::uint64_t{16} << 20;
  EXPECT_NEAR(bytes(), 0.882e9, 0.07 * 0.882e9);
  plan.spill_bytes = std::uint64_t{512} << 20;
  EXPECT_EQ(spill_work(shapes, plan).entries_merged, 0.0);
  shapes.sample = {20'000, 1};  // the loosest of guesses still lets something in
  EXPECT_GT(spill_work(shapes, plan).entries_added, 0.0);
  shapes.sample = {};
  plan.stripe_rows = 300'000;
  EXPECT_EQ(spill_work(shapes, plan).entries_added, 0.0) << "no row's turn is yet to come";
}

}  // namespace
}  // namespace simtile::plan
