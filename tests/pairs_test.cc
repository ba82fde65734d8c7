// Joins by threshold: all pairs that are good enough, against the definition.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <filesystem>

#include "engine/join/pair_store.h"
#include "simtile/error.h"
#include "simtile/job.h"
#include "simtile/verify.h"
#include "tests/job_oracle.h"
#include "tests/test_files.h"

namespace simtile::tests {
namespace {

JobOptions all_pairs(Metric metric, float min_score) {
  JobOptions options;
  options.metric = metric;
  options.min_score = min_score;
  options.budget_bytes = std::uint64_t{1} << 30;
  options.threads = 2;
  return options;
}

class Pairs : public testing::Test {
 protected:
  const TempFolder folder_;
  const std::string knn_ = folder_ / "a.knn";
};

TEST_F(Pairs, JoinAndSearchAreTheDefinition) {
  const TestMatrix base = random_matrix(701, 19, 1, 0.5);
  const TestMatrix queries = random_matrix(131, 19, 2, 0.5);
  const TestMatrix few = random_matrix(9, 19, 3, 0.5);
  write_matrix(folder_ / "dense.emb", base);
  write_sparse_matrix(folder_ / "sparse.emb", base);
  write_matrix(folder_ / "dense-q.emb", queries);
  write_sparse_matrix(folder_ / "sparse-q.emb", queries);
  write_matrix(folder_ / "few.emb", few);
  for (const auto& [metric, score] :
       {std::pair{Metric::kCosine, 0.25f}, {Metric::kInnerProduct, 2.0f}, {Metric::kL2, 15.0f}}) {
    const JobOptions options = all_pairs(metric, score);
    const Answer self = definition_answer(base, nullptr, metric, base.rows, score);
    const Answer search = definition_answer(base, &queries, metric, base.rows, score);
    for (const std::string kind : {"dense", "sparse"}) {
      run_job({folder_ / kind + ".emb", ""}, knn_, options);
      EXPECT_EQ(first_difference(knn_, self), "") << kind << to_string(metric);
      run_job({folder_ / kind + ".emb", folder_ / kind + "-q.emb"}, knn_, options);
      EXPECT_EQ(first_difference(knn_, search), "") << kind << to_string(metric);
    }
    run_job({folder_ / "dense.emb", folder_ / "few.emb"}, knn_, options);
    EXPECT_EQ(first_difference(knn_, definition_answer(base, &few, metric, base.rows, score)), "");
  }
}

TEST_F(Pairs, TheFileSaysWhatItHolds) {
  const TestMatrix base = random_matrix(300, 7, 4);
  write_matrix(folder_ / "a.emb", base);
  run_job({folder_ / "a.emb", ""}, knn_, all_pairs(Metric::kCosine, 0.5f));
  const Neighbours neighbours(knn_);
  std::uint64_t entries = 0;
  for (std::uint64_t r = 0; r < base.rows; ++r) entries += neighbours.row(r).size();
  EXPECT_GT(entries, 0u);
  EXPECT_EQ(neighbours.neighbours(0, 1).size(), std::min<std::size_t>(1, neighbours.row(0).size()));
  EXPECT_EQ(neighbours.info().top_k, 0u);
  EXPECT_EQ(neighbours.info().entries, entries);
  EXPECT_EQ(neighbours.info().min_score, 0.5f);
  EXPECT_EQ(verify_file(knn_).kind, FileKind::kNeighbours);
  std::vector<std::uint64_t> rows;
  std::vector<float> scores;
  EXPECT_THROW(neighbours.read_rows(0, 1, rows, scores), Error);
}

// No pair, and every pair: three quarters of a million, many more than the smallest budget's buffer holds.
TEST_F(Pairs, AnyNumberOfThemInTheSmallestBudget) {
  const TestMatrix base = random_matrix(900, 5, 5);
  write_matrix(folder_ / "a.emb", base);
  run_job({folder_ / "a.emb", ""}, knn_, all_pairs(Metric::kCosine, 1.5f));
  EXPECT_EQ(Neighbours(knn_).info().entries, 0u);
  JobOptions options = all_pairs(Metric::kCosine, -2.0f);
  options.budget_bytes = 1;
  options.budget_bytes = plan_job_at_least({folder_ / "a.emb", ""}, options).smallest_budget_bytes;
  const JobReport report = run_job({folder_ / "a.emb", ""}, knn_, options);
  EXPECT_EQ(Neighbours(knn_).info().entries, 900u * 899u);
  EXPECT_GT(report.bytes_spilled, 900u * 899u * 12u);
  EXPECT_EQ(report.plan.output_bytes, 900u * 899u * 12u);
  EXPECT_EQ(first_difference(knn_, definition_answer(base, nullptr, Metric::kCosine, base.rows)), "");
}

TEST_F(Pairs, AnInterruptedJobGoesOnToTheSameBytes) {
  const TestMatrix base = random_matrix(2100, 9, 6);
  write_matrix(folder_ / "a.emb", base);
  JobOptions options = all_pairs(Metric::kCosine, 0.6f);
  run_job({folder_ / "a.emb", ""}, knn_, options);
  const std::string bytes = read_bytes(knn_);
  for (const double stop_at : {0.2, 0.7, 1.0}) {
    std::atomic<bool> stop{false};
    options.stop = &stop;
    options.checkpoint_seconds = 0.0;
    options.threads = 1;
    options.progress = [&](const JobProgress& progress) { stop = progress.fraction_done >= stop_at; };
    EXPECT_THROW(run_job({folder_ / "a.emb", ""}, folder_ / "b.knn", options), Error);
    EXPECT_FALSE(std::filesystem::exists(folder_ / "b.knn"));
    options.stop = nullptr;
    options.threads = 2;
    options.progress = nullptr;
    const JobReport report = run_job({folder_ / "a.emb", ""}, folder_ / "b.knn", options);
    EXPECT_GT(report.tiles_resumed, 0u) << stop_at;
    EXPECT_EQ(read_bytes(folder_ / "b.knn"), bytes) << stop_at;
    std::filesystem::remove(folder_ / "b.knn");
  }
}

TEST_F(Pairs, NeitherTopKNorMinScoreIsRefused) {
  write_matrix(folder_ / "a.emb", random_matrix(30, 7, 4));
  JobOptions options = all_pairs(Metric::kCosine, 0.5f);
  options.min_score.reset();
  EXPECT_THROW(run_job({folder_ / "a.emb", ""}, knn_, options), Error);
}

// Many levels of merging: the store gives back what it was given, in order, each entry once.
TEST_F(Pairs, TheStoreSorts) {
  join::WorkFolder work(folder_ / "work", {7, 1000, 100000});
  PageBudget budget(std::uint64_t{64} << 20);
  // Room for about a thousand entries beside the buffers for merging: runs enough that merged ones are merged again,
  // and that some are left to merge when the entries are asked for.
  join::PairStore store(work, budget, 18 * (4096 * 12 + 4096) + 12000);
  std::vector<join::RunEntry> entries;
  std::mt19937 random(8);
  for (int i = 0; i < 500000; ++i)
    entries.push_back(
        join::RunEntry::of(random() % 1000, topk::make_key(true, 0.5f, static_cast<std::uint32_t>(random() % 100000))));
  entries.insert(entries.end(), entries.begin(), entries.begin() + 1000);
  for (std::size_t at = 0; at < entries.size(); at += 100) store.add(std::span(entries).subspan(at, 100));
  std::sort(entries.begin(), entries.end());
  const auto same = [](const auto& a, const auto& b) { return !(a < b) && !(b < a); };
  entries.erase(std::unique(entries.begin(), entries.end(), same), entries.end());
  // Asked already while runs are merged, before the first entry is given; nothing is lost by that.
  std::size_t given = 0;
  const auto stop = [] { throw Error(ErrorCode::kInterrupted, "stopped"); };
  EXPECT_THROW(store.for_each([&](const join::RunEntry&) { ++given; }, stop), Error);
  EXPECT_EQ(given, 0u);
  std::size_t at = 0;
  store.for_each([&](const join::RunEntry& entry) {
    ASSERT_LT(at, entries.size());
    ASSERT_TRUE(same(entry, entries[at])) << at;
    ++at;
  });
  EXPECT_EQ(at, entries.size());
}

}  // namespace
}  // namespace simtile::tests
