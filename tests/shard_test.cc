// Jobs that several processes share: the merged shards are the bytes of one process, or there is no answer at all.
#include "engine/plan/shard.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <csignal>
#include <string>
#include <vector>

#include "engine/join/shard_folder.h"
#include "simtile/error.h"
#include "simtile/job.h"
#include "simtile/merge.h"
#include "tests/job_oracle.h"
#include "tests/test_files.h"

namespace simtile::tests {
namespace {

// Under a sanitizer, which takes its time, less of the same.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr std::uint64_t kRowsToStop = 4000;
constexpr std::uint64_t kTopK = 60;
constexpr std::array kShardCounts{2u, 3u};
#else
constexpr std::uint64_t kRowsToStop = 6000;  // stripes enough in each half for a shard to be stopped between them
constexpr std::uint64_t kTopK = 200;
constexpr std::array kShardCounts{1u, 2u, 3u, 7u};
#endif
constexpr std::uint64_t kRows = 1500;
constexpr std::uint64_t kLargeBudget = std::uint64_t{4} << 30;

struct Fixture {
  TempFolder folder;
  std::string base = folder / "a.emb";
  std::string queries = folder / "q.emb";
  std::string few = folder / "few.emb";
  std::string out = folder / "out.knn";
  std::string expected;  // of run()
  explicit Fixture(std::uint64_t rows = kRows) {
    write_matrix(base, random_matrix(rows, 40, 1));
    write_matrix(queries, random_matrix(rows / 2, 40, 2));
    write_matrix(few, random_matrix(5, 40, 3));
  }
  // The answer of one process.
  void run_whole(const JobInput& input, const JobOptions& options) {
    run_job(input, folder / "expected.knn", options);
    expected = read_bytes(folder / "expected.knn");
  }
};

JobOptions options_for(std::uint64_t budget_bytes = kLargeBudget) {
  JobOptions options;
  options.top_k = kTopK;
  options.budget_bytes = budget_bytes;
  options.threads = 2;
  options.screen = ScreenUse::kOff;
  options.pairs = PairScoring::kOnce;
  options.checkpoint_seconds = 1e9;
  return options;
}

JobReport run_shard(const JobInput& input, const std::string& out, JobOptions options, std::uint32_t number,
                    std::uint32_t count) {
  options.shard = Shard{number, count};
  return run_job(input, out, options);
}

// Stops the shard when `fraction` of it is done. On one thread: more take the tiles that are left while it is told.
void run_and_stop_shard(const JobInput& input, const std::string& out, JobOptions options, Shard shard,
                        double fraction) {
  std::atomic<bool> stop{false};
  options.shard = shard;
  options.threads = 1;
  options.stop = &stop;
  options.progress = [&](const JobProgress& progress) {
    if (progress.fraction_done >= fraction) stop = true;
  };
  expect_error(ErrorCode::kInterrupted, [&] { run_job(input, out, options); });
}

// The smallest, for the whole job: there the state of a self-join's rows goes to disk.
std::uint64_t small_budget(const JobInput& input, const JobOptions& options) {
  JobOptions least = options;
  least.budget_bytes = 1 << 20;
  return plan_job_at_least(input, least).smallest_budget_bytes + (std::uint64_t{3} << 20) + kKeptBytes;
}

// Readers of all would take 14 MiB.
TEST(Shards, AsManyAsThereCanBeAreMergedInTheSmallestBudget) {
  const Fixture fixture;
  for (const JobInput& input : {JobInput{fixture.few, ""}, JobInput{fixture.queries, fixture.few}}) {
    JobOptions options = options_for();
    options.top_k = 3;
    JobOptions least = options;
    least.budget_bytes = 1 << 20;
    for (std::uint32_t number = 1; number <= kMostShards; ++number)
      run_shard(input, fixture.out, options, number, kMostShards);
    options.budget_bytes = plan_job_at_least(input, least).smallest_budget_bytes + kKeptBytes;
    std::filesystem::create_directory(fixture.out + ".work/merge-of-shards");
    write_bytes(fixture.out + ".work/merge-of-shards/lock", "simtile work folder of process 1");
    write_bytes(fixture.out + ".work/merge-of-shards/1.run", "left by a merge that was killed");
    const MergeReport report = merge_shards(input, fixture.out, options);
    EXPECT_EQ(report.shards, kMostShards);
    EXPECT_FALSE(std::filesystem::exists(fixture.out + ".work"));
    options.budget_bytes = kLargeBudget;
    run_job(input, fixture.folder / "expected.knn", options);
    EXPECT_TRUE(read_bytes(fixture.out) == read_bytes(fixture.folder / "expected.knn"));
  }
}

// An answer there would go with the shards.
TEST(Shards, AnAnswerInAFolderThatAMergeRemovesIsRefused) {
  const Fixture fixture;
  JobOptions options = options_for();
  options.work_dir = fixture.out + ".work";
  for (const std::uint32_t number : {1u, 2u}) run_shard({fixture.base, ""}, fixture.out, options, number, 2);
  std::filesystem::create_directory(join::merge_path(options.work_dir));
  for (const std::string& path :
       {join::merge_path(options.work_dir) + "/lock", join::merge_path(options.work_dir) + "/5.run",
        join::shard_path(options.work_dir, {2, 2}) + "/9.run", options.work_dir + "/journal"}) {
    expect_error(ErrorCode::kInvalidArgument, [&] { merge_shards({fixture.base, ""}, path, options); });
    EXPECT_FALSE(std::filesystem::exists(path)) << path;
  }
  EXPECT_EQ(merge_shards({fixture.base, ""}, fixture.out, options).shards, 2u);
}

// In the words of other jobs, and before shards are looked for.
TEST(Shards, AMergeSaysTheSmallestBudgetFirst) {
  const Fixture fixture;
  JobOptions options = options_for(1 << 20);
  const std::string message = expect_error(ErrorCode::kBudgetTooSmall, [&] {
    merge_shards({fixture.base, ""}, fixture.out, options);
  });
  EXPECT_NE(message.find("the smallest that works is "), std::string::npos) << message;
}

TEST(ShardPlan, PartsTakeEachPairOnceAndAboutAlikeMany) {
  for (const bool self_join : {true, false})
    for (const std::uint64_t rows : {1u, 2u, 3u, 10u, 97u, 1000u})
      for (const std::uint32_t count : {1u, 2u, 3u, 7u, 64u, 256u}) {
        plan::Shapes shapes;
        shapes.query_rows = rows;
        shapes.base_rows = self_join ? rows : 33;
        shapes.self_join = self_join;
        const std::uint64_t all = plan::distinct_pairs_of_rows(shapes, 0, rows);
        std::uint64_t end = 0;
        for (std::uint32_t number = 1; number <= count; ++number) {
          const plan::Part part = plan::part_of(shapes, {number, count});
          EXPECT_EQ(part.query_begin, end);
          EXPECT_LE(part.query_begin, part.query_end);
          end = part.query_end;
          EXPECT_LE(plan::distinct_pairs_of_rows(shapes, part.query_begin, part.query_end),
                    all / count + shapes.base_rows);
        }
        EXPECT_EQ(end, rows);
      }
}

TEST(ShardPlan, FewQueriesShareTheBase) {
  plan::Shapes shapes;
  shapes.query_rows = 3;
  shapes.base_rows = 10;
  shapes.few_queries = true;
  for (const std::uint32_t count : {1u, 3u, 10u, 16u}) {
    std::uint64_t end = 0;
    for (std::uint32_t number = 1; number <= count; ++number) {
      shapes.part = {};
      shapes.part = plan::part_of(shapes, {number, count});
      EXPECT_EQ(shapes.base_begin(), end);
      end = shapes.base_end();
      EXPECT_EQ(shapes.query_end() == 0, shapes.base_begin() == shapes.base_end());
    }
    EXPECT_EQ(end, shapes.base_rows);
  }
}

TEST(Shards, TakeNamesOfTheirOwnAlone) {
  const Shard shard{3, 17};
  const std::string path = join::shard_path("work", shard);
  EXPECT_EQ(path, "work/shard-3-of-17");
  ASSERT_TRUE(join::shard_of_name("shard-3-of-17"));
  for (const char* other : {"shard-0-of-3", "shard-4-of-3", "shard-03-of-17", "shard-3-of-17 ", "shard-3",
                            "shard--3-of-4", "shard-1-of-257", "3.run", ""})
    EXPECT_FALSE(join::shard_of_name(other)) << other;
}

TEST(Shards, MergeToTheBytesOfOneProcess) {
  Fixture fixture;
  for (const JobInput& input :
       {JobInput{fixture.base, ""}, JobInput{fixture.base, fixture.queries}, JobInput{fixture.base, fixture.few}}) {
    for (const Metric metric : {Metric::kCosine, Metric::kL2}) {
      JobOptions options = options_for();
      options.metric = metric;
      fixture.run_whole(input, options);
      for (const std::uint32_t count : kShardCounts) {
        std::uint64_t pairs = 0;
        for (std::uint32_t number = count; number > 0; --number) {  // in any order, with any budget and threads
          options.budget_bytes = number % 2 == 0 ? kLargeBudget : small_budget(input, options);
          options.threads = number % 3 == 0 ? 1 : 2;
          const JobReport report = run_shard(input, fixture.out, options, number, count);
          pairs += report.pairs_scored;
          EXPECT_EQ(report.plan.pairs_scored, report.pairs_scored);
          EXPECT_FALSE(std::filesystem::exists(fixture.out));
        }
        EXPECT_EQ(pairs, plan_job(input, options).pairs_scored) << "the symmetric gain was lost";
        const MergeReport merged = merge_shards(input, fixture.out, options);
        EXPECT_EQ(merged.shards, count);
        EXPECT_FALSE(merged.was_done);
        EXPECT_TRUE(read_bytes(fixture.out) == fixture.expected) << count << ' ' << to_string(metric);
        EXPECT_FALSE(std::filesystem::exists(fixture.out + ".work"));
        std::filesystem::remove(fixture.out);
      }
    }
  }
}

TEST(Shards, OfFieldsMergeToTheBytesOfOneProcess) {
  Fixture fixture;
  const std::string image = fixture.folder / "image.emb", query_image = fixture.folder / "query_image.emb";
  write_matrix(image, random_matrix(kRows, 24, 4));
  write_matrix(query_image, random_matrix(kRows / 2, 24, 5));
  JobInput join, search;
  join.fields = {{"text", fixture.base, "", 0.7f}, {"image", image, "", 0.3f}};
  search.fields = {{"text", fixture.base, fixture.queries, 0.7f}, {"image", image, query_image, 0.3f}};
  for (const JobInput& input : {join, search}) {
    JobOptions options = options_for();
    options.renormalize = true;
    fixture.run_whole(input, options);
    for (std::uint32_t number = 1; number <= 3; ++number) {
      options.budget_bytes = number % 2 == 0 ? kLargeBudget : small_budget(input, options);
      run_shard(input, fixture.out, options, number, 3);
    }
    JobInput other = input;
    other.fields.front().weight = 0.6f;
    expect_error(ErrorCode::kInvalidArgument, [&] { merge_shards(other, fixture.out, options); });
    EXPECT_FALSE(merge_shards(input, fixture.out, options).was_done);
    EXPECT_TRUE(read_bytes(fixture.out) == fixture.expected);
    EXPECT_TRUE(merge_shards(input, fixture.out, options).was_done);
    expect_error(ErrorCode::kIo, [&] { merge_shards(other, fixture.out, options); });
    options.renormalize = false;
    expect_error(ErrorCode::kIo, [&] { merge_shards(input, fixture.out, options); });
    std::filesystem::remove(fixture.out);
  }
}

TEST(Shards, OfAllPairsAreRefused) {
  Fixture fixture;
  const JobInput input{fixture.base, ""};
  JobOptions options = options_for();
  options.top_k = 0;
  options.min_score = 0.5f;
  for (const std::string& message :
       {expect_error(ErrorCode::kInvalidArgument, [&] { run_shard(input, fixture.out, options, 1, 2); }),
        expect_error(ErrorCode::kInvalidArgument, [&] { merge_shards(input, fixture.out, options); })})
    EXPECT_NE(message.find("--top-k"), std::string::npos) << message;
  EXPECT_FALSE(std::filesystem::exists(fixture.out + ".work"));
}

TEST(Shards, MoreThanThereAreRowsAreEmpty) {
  const TempFolder folder;
  const std::string base = folder / "a.emb", out = folder / "out.knn";
  const TestMatrix matrix = random_matrix(3, 8, 1);
  write_matrix(base, matrix);
  JobOptions options = options_for();
  for (std::uint32_t number = 1; number <= 5; ++number) run_shard({base, ""}, out, options, number, 5);
  EXPECT_EQ(merge_shards({base, ""}, out, options).shards, 5u);
  EXPECT_EQ(first_difference(out, definition_answer(matrix, nullptr, Metric::kCosine, kTopK)), "");
}

TEST(Shards, AScreenInSomeOfThemChangesNothing) {
  Fixture fixture;
  const JobInput input{fixture.base, ""};
  JobOptions options = options_for();
  options.top_k = 10;
  fixture.run_whole(input, options);
  std::uint32_t screened = 0;
  for (std::uint32_t number = 1; number <= 3; ++number) {
    options.screen = number == 2 ? ScreenUse::kOff : ScreenUse::kOn;
    screened += run_shard(input, fixture.out, options, number, 3).screened;
  }
  EXPECT_GE(screened, 1u);
  merge_shards(input, fixture.out, options);
  EXPECT_TRUE(read_bytes(fixture.out) == fixture.expected);
}

TEST(Shards, StoppedAndResumedUnderAnotherBudgetMergeToTheSameBytes) {
  Fixture fixture(kRowsToStop);
  for (const JobInput& input : {JobInput{fixture.base, ""}, JobInput{fixture.base, fixture.queries}}) {
    JobOptions options = options_for();
    fixture.run_whole(input, options);
    for (const bool small_first : {true, false}) {
      run_shard(input, fixture.out, options, 2, 2);
      options.budget_bytes = small_first ? small_budget(input, options) : kLargeBudget;
      run_and_stop_shard(input, fixture.out, options, {1, 2}, 0.3);
      expect_error(ErrorCode::kIo, [&] { merge_shards(input, fixture.out, options); });
      options.budget_bytes = small_first ? kLargeBudget : small_budget(input, options);
      // Not by tiles_resumed: what is left may take as many tiles of the other budget as the whole.
      double resumed = 0.0;
      options.progress = [&](const JobProgress& progress) { resumed = progress.fraction_resumed; };
      run_shard(input, fixture.out, options, 1, 2);
      EXPECT_GT(resumed, 0.0);
      options.progress = nullptr;
      EXPECT_TRUE(run_shard(input, fixture.out, options, 1, 2).shard_was_done);
      merge_shards(input, fixture.out, options);
      EXPECT_TRUE(read_bytes(fixture.out) == fixture.expected) << small_first;
      std::filesystem::remove(fixture.out);
    }
  }
}

TEST(Shards, KilledAndRunAgainMergeToTheSameBytes) {
  Fixture fixture(kRowsToStop);
  const JobInput input{fixture.base, ""};
  fixture.run_whole(input, options_for());
  run_shard(input, fixture.out, options_for(), 1, 2);
  const pid_t child = ::fork();
  if (child == 0) {
    JobOptions options = options_for();
    options.threads = 1;
    options.checkpoint_seconds = 0.0;
    options.progress = [](const JobProgress& progress) {
      if (progress.fraction_done >= 0.5) ::kill(::getpid(), SIGKILL);
    };
    run_shard(input, fixture.out, options, 2, 2);
    ::_exit(0);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status));
  expect_error(ErrorCode::kIo, [&] { merge_shards(input, fixture.out, options_for()); });
  EXPECT_GT(run_shard(input, fixture.out, options_for(), 2, 2).tiles_resumed, 0u);
  merge_shards(input, fixture.out, options_for());
  EXPECT_TRUE(read_bytes(fixture.out) == fixture.expected);
}

TEST(Shards, MergeNamesWhatIsMissingUnfinishedAtWorkOrForeignAndWritesNothing) {
  Fixture fixture(kRowsToStop);
  const JobInput input{fixture.base, ""};
  const JobOptions options = options_for();
  const auto refuses = [&](ErrorCode code, const std::vector<std::string>& words) {
    const std::string message = expect_error(code, [&] { merge_shards(input, fixture.out, options); });
    for (const std::string& word : words) EXPECT_NE(message.find(word), std::string::npos) << message;
    EXPECT_FALSE(std::filesystem::exists(fixture.out));
    EXPECT_FALSE(std::filesystem::exists(fixture.out + ".partial"));
  };
  refuses(ErrorCode::kIo, {"no shards"});
  run_shard(input, fixture.out, options, 3, 4);
  refuses(ErrorCode::kIo, {"1, 2, 4 of 4 missing"});
  run_shard(input, fixture.out, options, 1, 4);
  run_and_stop_shard(input, fixture.out, options, {2, 4}, 0.1);
  refuses(ErrorCode::kIo, {"4 of 4 missing", "2 of 4 not finished"});
  run_shard(input, fixture.out, options, 2, 4);
  run_shard(input, fixture.out, options, 4, 4);
  {
    const join::WorkFolder at_work(join::shard_path(fixture.out + ".work", {4, 4}), {1, 1, 1});
    refuses(ErrorCode::kIo, {"4 of 4 still at work"});
  }
  {
    const join::WorkFolder other_merge(join::merge_path(fixture.out + ".work"), {1, 1, 1});
    refuses(ErrorCode::kInvalidArgument, {"work/merge-of-shards' is in use by process " + std::to_string(::getpid())});
  }
  JobOptions other = options;
  other.top_k = kTopK + 1;
  EXPECT_TRUE(run_shard(input, fixture.out, other, 2, 4).discarded_other_job);
  refuses(ErrorCode::kInvalidArgument, {"of shards 2 of 4", "another job"});
  run_shard(input, fixture.out, options, 2, 4);
  // One from another cut of the same job, under this one's name.
  run_shard(input, fixture.out, options, 2, 5);
  const std::string work = fixture.out + ".work/";
  std::filesystem::rename(work + "shard-2-of-4", work + "kept");
  std::filesystem::rename(work + "shard-2-of-5", work + "shard-2-of-4");
  refuses(ErrorCode::kInvalidArgument, {"of shards 2 of 4"});
  std::filesystem::remove_all(work + "shard-2-of-4");
  std::filesystem::rename(work + "kept", work + "shard-2-of-4");
  merge_shards(input, fixture.out, options);
  fixture.run_whole(input, options);
  EXPECT_TRUE(read_bytes(fixture.out) == fixture.expected);
}

TEST(Shards, DamagedResultsAreRefused) {
  Fixture fixture;
  const JobInput input{fixture.base, ""};
  const JobOptions options = options_for();
  run_shard(input, fixture.out, options, 1, 2);
  run_shard(input, fixture.out, options, 2, 2);
  for (const auto& entry : std::filesystem::recursive_directory_iterator(fixture.out + ".work")) {
    const std::string path = entry.path().string();
    if (!entry.is_regular_file() || path.ends_with("/lock")) continue;
    const std::string whole = read_bytes(path);
    for (const std::size_t at : {whole.size() / 3, whole.size() - 1}) {
      std::string damaged = whole;
      damaged[at] = static_cast<char>(damaged[at] ^ 4);
      write_bytes(path, damaged);
      expect_error(ErrorCode::kCorrupt, [&] { merge_shards(input, fixture.out, options); });
      EXPECT_FALSE(std::filesystem::exists(fixture.out));
    }
    write_bytes(path, whole.substr(0, whole.size() / 2));
    expect_error(ErrorCode::kCorrupt, [&] { merge_shards(input, fixture.out, options); });
    write_bytes(path, whole);
  }
  merge_shards(input, fixture.out, options);
  fixture.run_whole(input, options);
  EXPECT_TRUE(read_bytes(fixture.out) == fixture.expected);
}

TEST(Shards, AMergeThatWasKilledWhileItCleanedUpIsDone) {
  Fixture fixture;
  const JobInput input{fixture.base, ""};
  const JobOptions options = options_for();
  fixture.run_whole(input, options);
  for (std::uint32_t number = 1; number <= 3; ++number) run_shard(input, fixture.out, options, number, 3);
  write_bytes(fixture.out, fixture.expected);
  std::filesystem::remove_all(fixture.out + ".work/shard-1-of-3");
  std::filesystem::remove(fixture.out + ".work/shard-2-of-3/journal");
  EXPECT_TRUE(merge_shards(input, fixture.out, options).was_done);
  EXPECT_TRUE(read_bytes(fixture.out) == fixture.expected);
  EXPECT_FALSE(std::filesystem::exists(fixture.out + ".work"));
  // Another job's answer is no excuse.
  JobOptions other = options;
  other.top_k = 3;
  expect_error(ErrorCode::kIo, [&] { merge_shards(input, fixture.out, other); });
  EXPECT_TRUE(read_bytes(fixture.out) == fixture.expected);
}

TEST(Shards, TwoProcessesOnOneShardTheSecondIsRefusedWithTheFirstsId) {
  Fixture fixture;
  const JobInput input{fixture.base, ""};
  JobOptions options = options_for();
  options.shard = Shard{2, 3};
  const join::WorkFolder first(join::make_shard_path(fixture.out + ".work", {2, 3}), {1, kRows, kRows});
  const std::string message = expect_error(ErrorCode::kInvalidArgument, [&] { run_job(input, fixture.out, options); });
  EXPECT_NE(message.find("process " + std::to_string(::getpid())), std::string::npos) << message;
  EXPECT_NO_THROW(run_shard(input, fixture.out, options, 1, 3)) << "other shards are free";
}

TEST(Shards, NumbersThatCannotBeAreRefused) {
  Fixture fixture;
  for (const Shard& shard : {Shard{0, 3}, Shard{4, 3}, Shard{1, kMostShards + 1}, Shard{0, 0}})
    expect_error(ErrorCode::kInvalidArgument, [&] {
      run_shard({fixture.base, ""}, fixture.out, options_for(), shard.number, shard.count);
    });
  EXPECT_FALSE(std::filesystem::exists(fixture.out + ".work"));
}

}  // namespace
}  // namespace simtile::tests
