// A long job does not grow: what 10,000 tiles leave resident after the first hundred.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>

#include "engine/memory/process_memory.h"
#include "simtile/job.h"
#include "tests/job_oracle.h"
#include "tests/test_files.h"

namespace simtile::tests {
namespace {

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;
constexpr std::uint64_t kWarmTiles = 100, kTiles = 10'000;

TEST(Growth, TenThousandTilesStayWithinFiveMebibytesOfTheFirstHundred) {
  const TempFolder folder;
  const JobInput input{folder / "a.emb", ""};
  write_matrix(input.base_path, random_matrix(110000, 192, 1));
  JobOptions options;
  options.metric = Metric::kInnerProduct;
  options.top_k = 10;
  options.threads = 2;
  options.checkpoint_seconds = 0.5;
  options.screen = ScreenUse::kOff;
  options.pairs = PairScoring::kOnce;  // spills
  options.budget_bytes = 1;
  // Small tiles, and so many of them (a quarter more or fewer, by what the process holds already); what does not fit is
  // spilled.
  options.budget_bytes = plan_job_at_least(input, options).smallest_budget_bytes + kMiB;
  EXPECT_TRUE(plan_job(input, options).spills);
  std::uint64_t tiles = 0, warm_bytes = 0, most_bytes = 0;
  std::atomic<bool> stop{false};
  options.stop = &stop;
  options.progress = [&](const JobProgress&) {
    const std::uint64_t bytes = read_process_memory().rss_bytes;
    if (++tiles <= kWarmTiles) warm_bytes = std::max(warm_bytes, bytes);
    if (tiles <= kTiles) most_bytes = std::max(most_bytes, bytes);
    stop = tiles >= kTiles;  // what is left, and the merge, would only take time
  };
  expect_error(ErrorCode::kInterrupted, [&] { run_job(input, folder / "out.knn", options); });
  EXPECT_GE(tiles, kTiles);
  EXPECT_LT(most_bytes - warm_bytes, 5 * kMiB);
  RecordProperty("tiles", std::to_string(tiles));
  RecordProperty("growth_kib", std::to_string((most_bytes - warm_bytes) / 1024));
}

}  // namespace
}  // namespace simtile::tests
