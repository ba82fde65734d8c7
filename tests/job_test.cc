// The main job against the definition, bit for bit.
#include "simtile/job.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "engine/kernels/tile_kernel.h"
#include "simtile/error.h"
#include "simtile/matrix.h"
#include "simtile/merge.h"
#include "simtile/screen.h"
#include "tests/job_oracle.h"
#include "tests/test_files.h"

namespace simtile::tests {
namespace {

constexpr std::uint64_t kBudgetBytes = std::uint64_t{1} << 30;

JobOptions options_for(Metric metric, std::uint64_t top_k) {
  JobOptions options;
  options.metric = metric;
  options.top_k = top_k;
  options.budget_bytes = kBudgetBytes;
  options.threads = 2;
  return options;
}

// Kernels without vectors take minutes under the sanitizers.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif

constexpr Metric kMetrics[] = {Metric::kCosine, Metric::kInnerProduct, Metric::kL2};

// By whatever name: itself, a symbolic link, a hard link, and the name that it is written under until it is whole.
TEST(Job, RefusesToWriteOverItsInputs) {
  const TempFolder folder;
  for (const char* name : {"a.emb", "b.emb", "q.emb"}) write_matrix(folder / name, random_matrix(70, 40, 1));
  std::filesystem::create_symlink(folder / "a.emb", folder / "link");
  std::filesystem::create_hard_link(folder / "b.emb", folder / "hard");
  std::filesystem::create_hard_link(folder / "q.emb", folder / "out.partial");
  const std::string before = read_bytes(folder / "a.emb");
  const JobOptions options = options_for(Metric::kCosine, 3);
  const JobInput fields{
      "", "", {{"a", folder / "a.emb", folder / "q.emb"}, {"b", folder / "b.emb", folder / "q.emb", 0}}};
  for (const char* name : {"a.emb", "b.emb", "q.emb", "link", "hard", "out"}) {
    const std::string output = folder / name;
    expect_error(ErrorCode::kInvalidArgument, [&] { run_job(fields, output, options); });
    expect_error(ErrorCode::kInvalidArgument, [&] { merge_shards(fields, output, options); });
  }
  const JobInput plain{folder / "a.emb", folder / "b.emb"};
  for (const char* name : {"link", "hard"})
    expect_error(ErrorCode::kInvalidArgument, [&] { run_job(plain, folder / name, options); });
  ScreenOptions screen;
  screen.output_path = folder / "link";
  expect_error(ErrorCode::kInvalidArgument, [&] { build_screen(folder / "a.emb", screen); });
  for (const char* name : {"a.emb", "b.emb", "q.emb"}) EXPECT_EQ(read_bytes(folder / name), before) << name;
}

TEST(Job, SelfJoinIsTheDefinition) {
  const TempFolder folder;
  const TestMatrix matrix = random_matrix(701, 37, 1);
  write_matrix(folder / "a.emb", matrix);
  for (const Metric metric : kMetrics)
    for (const std::uint64_t top_k : {1u, 10u, 150u}) {
      run_job({folder / "a.emb", ""}, folder / "a.knn", options_for(metric, top_k));
      EXPECT_EQ(first_difference(folder / "a.knn", definition_answer(matrix, nullptr, metric, top_k)), "")
          << to_string(metric) << ' ' << top_k;
    }
}

TEST(Job, SearchIsTheDefinition) {
  const TempFolder folder;
  const TestMatrix base = random_matrix(903, 21, 2);
  const TestMatrix queries = random_matrix(77, 21, 3);
  write_matrix(folder / "b.emb", base);
  write_matrix(folder / "q.emb", queries);
  for (const Metric metric : kMetrics) {
    run_job({folder / "b.emb", folder / "q.emb"}, folder / "a.knn", options_for(metric, 12));
    EXPECT_EQ(first_difference(folder / "a.knn", definition_answer(base, &queries, metric, 12)), "")
        << to_string(metric);
  }
}

// Few pairs survive here, so that the product decides for l2; rows far from the origin leave it little to decide by,
// and huge ones would overflow it.
TEST(Job, L2ByTheProductIsTheDefinition) {
  const TempFolder folder;
  for (const auto& [scale, offset] : {std::pair{1.0f, 0.0f}, {1.0f, 300.0f}, {1e-3f, 300.0f}, {1e18f, 0.0f}}) {
    TestMatrix base = random_matrix(kSanitized ? 1300 : 2600, 12, 31);
    TestMatrix queries = random_matrix(700, 12, 32);
    for (TestMatrix* matrix : {&base, &queries})
      for (float& value : matrix->values) value = scale * value + offset;
    write_matrix(folder / "b.emb", base);
    write_matrix(folder / "q.emb", queries);
    const Answer self_answer = definition_answer(base, nullptr, Metric::kL2, 2);
    const Answer search_answer = definition_answer(base, &queries, Metric::kL2, 2);
    for (const Isa isa : {Isa::kScalar, Isa::kAvx2, Isa::kAvx512}) {
      if (!kernels::is_supported(isa)) continue;
      JobOptions options = options_for(Metric::kL2, 2);
      options.isa = isa;
      run_job({folder / "b.emb", ""}, folder / "self.knn", options);
      EXPECT_EQ(first_difference(folder / "self.knn", self_answer), "")
          << scale << ' ' << offset << ' ' << to_string(isa);
      run_job({folder / "b.emb", folder / "q.emb"}, folder / "search.knn", options);
      EXPECT_EQ(first_difference(folder / "search.knn", search_answer), "")
          << scale << ' ' << offset << ' ' << to_string(isa);
    }
  }
}

// With few queries base rows are scored where they lie, by another kernel: the answer is the same.
// The matrix unit's bounds leave few pairs to the definition; rows near each other it can hardly tell apart; huge and
// tiny ones its bounds do not hold for.
TEST(Job, AFirstLookIsTheDefinition) {
  const TempFolder folder;
  for (const auto& [scale, offset] : {std::pair{1.0f, 0.0f}, {1e-2f, 3.0f}, {1e17f, 0.0f}, {1e-15f, 0.0f}}) {
    if (kSanitized && offset != 0.0f) continue;
    TestMatrix base = random_matrix(kSanitized ? 800 : 1200, kSanitized ? 100 : 130, 41);
    TestMatrix queries = random_matrix(kSanitized ? 65 : 150, base.columns, 42);
    for (TestMatrix* matrix : {&base, &queries})
      for (float& value : matrix->values) value = scale * value + offset;
    write_matrix(folder / "b.emb", base);
    write_matrix(folder / "q.emb", queries);
    for (const Metric metric : kMetrics) {
      JobReport report = run_job({folder / "b.emb", ""}, folder / "a.knn", options_for(metric, 3));
      EXPECT_EQ(first_difference(folder / "a.knn", definition_answer(base, nullptr, metric, 3)), "")
          << to_string(metric) << ' ' << scale << ' ' << offset;
      EXPECT_EQ(report.plan.first_look_isa, name_of_first_look());
      if (!name_of_first_look().empty() && offset == 0.0f && (scale == 1.0f || metric == Metric::kCosine)) {
        EXPECT_LT(report.pairs_by_definition, report.pairs_scored * 3 / 4) << to_string(metric);
      }
      run_job({folder / "b.emb", folder / "q.emb"}, folder / "a.knn", options_for(metric, 3));
      EXPECT_EQ(first_difference(folder / "a.knn", definition_answer(base, &queries, metric, 3)), "")
          << to_string(metric) << ' ' << scale << ' ' << offset;
    }
  }
}

TEST(Job, SearchOfFewQueriesIsTheDefinition) {
  const TempFolder folder;
  const TestMatrix base = random_matrix(1203, 33, 5);
  for (const ElementType type : {ElementType::kF32, ElementType::kF16, ElementType::kI8}) {
    write_matrix(folder / "b.emb", base, type);
    TestMatrix stored = base;
    const Matrix reader(folder / "b.emb");
    for (std::uint64_t r = 0; r < base.rows; ++r)
      reader.read_row(r, std::span(stored.values).subspan(r * base.columns, base.columns));
    for (const std::uint64_t query_rows : {1u, 16u, 63u, 64u, 65u}) {
      const TestMatrix queries = random_matrix(query_rows, 33, 6);
      write_matrix(folder / "q.emb", queries);
      for (const Metric metric : kMetrics)
        for (const Isa isa : {Isa::kScalar, Isa::kAuto}) {
          JobOptions options = options_for(metric, 12);
          options.isa = isa;
          run_job({folder / "b.emb", folder / "q.emb"}, folder / "a.knn", options);
          EXPECT_EQ(first_difference(folder / "a.knn", definition_answer(stored, &queries, metric, 12)), "")
              << to_string(type) << ' ' << query_rows << ' ' << to_string(metric) << ' ' << to_string(isa);
        }
    }
  }
}

TEST(Job, EveryElementTypeScoresItsStoredValues) {
  const TempFolder folder;
  const TestMatrix matrix = random_matrix(200, 19, 4);
  for (const ElementType type : {ElementType::kF16, ElementType::kBF16, ElementType::kI8}) {
    write_matrix(folder / "a.emb", matrix, type);
    TestMatrix stored = matrix;
    const Matrix reader(folder / "a.emb");
    for (std::uint64_t r = 0; r < matrix.rows; ++r)
      reader.read_row(r, std::span(stored.values).subspan(r * matrix.columns, matrix.columns));
    for (const Metric metric : kMetrics) {
      run_job({folder / "a.emb", ""}, folder / "a.knn", options_for(metric, 9));
      EXPECT_EQ(first_difference(folder / "a.knn", definition_answer(stored, nullptr, metric, 9)), "")
          << to_string(type) << ' ' << to_string(metric);
    }
  }
}

TEST(Job, SparseRowsGiveTheBitsOfDenseOnes) {
  const TempFolder folder;
  const TestMatrix base = random_matrix(400, 60, 5, 0.9);
  const TestMatrix queries = random_matrix(90, 60, 6, 0.9);
  write_sparse_matrix(folder / "b.emb", base);
  write_sparse_matrix(folder / "q.emb", queries);
  for (const Metric metric : kMetrics) {
    run_job({folder / "b.emb", ""}, folder / "self.knn", options_for(metric, 8));
    EXPECT_EQ(first_difference(folder / "self.knn", definition_answer(base, nullptr, metric, 8)), "")
        << to_string(metric);
    run_job({folder / "b.emb", folder / "q.emb"}, folder / "search.knn", options_for(metric, 8));
    EXPECT_EQ(first_difference(folder / "search.knn", definition_answer(base, &queries, metric, 8)), "")
        << to_string(metric);
  }
}

TEST(Job, AllRowsAlikeTieToTheSmallestRows) {
  const TempFolder folder;
  TestMatrix matrix{500, 3, std::vector<float>(1500, 0.25f)};
  write_matrix(folder / "a.emb", matrix);
  for (const Metric metric : kMetrics) {
    run_job({folder / "a.emb", ""}, folder / "a.knn", options_for(metric, 5));
    EXPECT_EQ(first_difference(folder / "a.knn", definition_answer(matrix, nullptr, metric, 5)), "");
  }
}

TEST(Job, InfinitiesAreScores) {
  const TempFolder folder;
  TestMatrix matrix = random_matrix(60, 4, 7);
  for (std::size_t i = 0; i < matrix.values.size(); i += 3)
    matrix.values[i] = std::clamp(matrix.values[i] * 2e38f, -3e38f, 3e38f);
  write_matrix(folder / "a.emb", matrix);
  for (const Metric metric : kMetrics) {
    run_job({folder / "a.emb", ""}, folder / "a.knn", options_for(metric, 20));
    EXPECT_EQ(first_difference(folder / "a.knn", definition_answer(matrix, nullptr, metric, 20)), "")
        << to_string(metric);
  }
}

TEST(Job, FewerRowsThanNeighbours) {
  const TempFolder folder;
  for (const std::uint64_t rows : {1u, 2u, 5u}) {
    const TestMatrix matrix = random_matrix(rows, 6, 8);
    write_matrix(folder / "a.emb", matrix);
    run_job({folder / "a.emb", ""}, folder / "a.knn", options_for(Metric::kInnerProduct, 50));
    EXPECT_EQ(first_difference(folder / "a.knn", definition_answer(matrix, nullptr, Metric::kInnerProduct, 50)), "");
    EXPECT_EQ(Neighbours(folder / "a.knn").info().top_k, 50u);
  }
}

TEST(Job, MinScoreKeepsOnlyThoseAtLeastAsGood) {
  const TempFolder folder;
  const TestMatrix matrix = random_matrix(300, 8, 9);
  write_matrix(folder / "a.emb", matrix);
  for (const auto& [metric, score] : {std::pair{Metric::kCosine, 0.5f}, {Metric::kL2, 6.0f}}) {
    JobOptions options = options_for(metric, 10);
    options.min_score = score;
    run_job({folder / "a.emb", ""}, folder / "a.knn", options);
    EXPECT_EQ(first_difference(folder / "a.knn", definition_answer(matrix, nullptr, metric, 10, score)), "");
  }
}

ErrorCode code_of(const JobInput& input, const std::string& output, const JobOptions& options) {
  try {
    run_job(input, output, options);
  } catch (const Error& error) {
    return error.code();
  }
  ADD_FAILURE() << "no error";
  return ErrorCode::kIo;
}

TEST(Job, RefusesWhatMakesNoSense) {
  const TempFolder folder;
  write_matrix(folder / "a.emb", random_matrix(30, 6, 10));
  write_matrix(folder / "b.emb", random_matrix(30, 7, 11));
  write_sparse_matrix(folder / "s.emb", random_matrix(30, 6, 12, 0.5));
  const std::string out = folder / "out.knn";
  EXPECT_EQ(code_of({folder / "a.emb", ""}, out, options_for(Metric::kCosine, 0)), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code_of({folder / "a.emb", folder / "b.emb"}, out, options_for(Metric::kCosine, 1)),
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(code_of({folder / "a.emb", folder / "s.emb"}, out, options_for(Metric::kCosine, 1)),
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(code_of({folder / "missing.emb", ""}, out, options_for(Metric::kCosine, 1)), ErrorCode::kIo);
  EXPECT_EQ(code_of({folder / "a.emb", ""}, folder.path(), options_for(Metric::kCosine, 1)),
            ErrorCode::kInvalidArgument);
  JobOptions tiny = options_for(Metric::kCosine, 1);
  tiny.budget_bytes = 1 << 20;
  EXPECT_EQ(code_of({folder / "a.emb", ""}, out, tiny), ErrorCode::kBudgetTooSmall);
  EXPECT_FALSE(std::filesystem::exists(out));
}

TEST(Job, DamagedPayloadIsFoundBeforeItReachesAResult) {
  const TempFolder folder;
  write_matrix(folder / "a.emb", random_matrix(2000, 40, 13));
  std::string bytes = read_bytes(folder / "a.emb");
  bytes[4096 + 200'000] = static_cast<char>(bytes[4096 + 200'000] ^ 1);
  write_bytes(folder / "a.emb", bytes);
  EXPECT_EQ(code_of({folder / "a.emb", ""}, folder / "a.knn", options_for(Metric::kCosine, 3)), ErrorCode::kCorrupt);
  EXPECT_FALSE(std::filesystem::exists(folder / "a.knn"));
  EXPECT_FALSE(std::filesystem::exists(folder / "a.knn.work")) << "there is nothing to resume";
}

TEST(Job, InputCutShortWhileInUseIsAnError) {
  const TempFolder folder;
  write_matrix(folder / "a.emb", random_matrix(3000, 64, 14));
  JobOptions options = options_for(Metric::kInnerProduct, 3);
  options.progress = [&](const JobProgress&) { std::filesystem::resize_file(folder / "a.emb", 8192); };
  EXPECT_EQ(code_of({folder / "a.emb", ""}, folder / "a.knn", options), ErrorCode::kCorrupt);
  EXPECT_FALSE(std::filesystem::exists(folder / "a.knn"));
}

// Whatever is being read at that moment: an error, or, when the job was done already, the whole answer.
TEST(Job, InputCutAtAnyMomentIsAnErrorOrTheAnswer) {
  const TempFolder folder;
  const TestMatrix matrix = random_matrix(1500, 40, 21, 0.7);
  const Answer answer = definition_answer(matrix, nullptr, Metric::kCosine, 3);
  int errors = 0;
  for (int turn = 0; turn < 24; ++turn) {
    const std::string path = folder / "a.emb";
    turn % 2 == 0 ? write_matrix(path, matrix) : write_sparse_matrix(path, matrix);
    std::thread cutter([&] {
      std::this_thread::sleep_for(std::chrono::microseconds(turn * 200));
      std::filesystem::resize_file(path, 8192);
    });
    try {
      run_job({path, ""}, folder / "a.knn", options_for(Metric::kCosine, 3));
      EXPECT_EQ(first_difference(folder / "a.knn", answer), "");
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kCorrupt) << error.what();
      ++errors;
    }
    cutter.join();
  }
  EXPECT_GT(errors, 0);
}

// A child of fork has none of oneTBB's threads, and perhaps a lock that one of them held: it works without oneTBB.
TEST(Job, AForkedChildDoesWholeJobsOnItsOneThread) {
  constexpr unsigned kSecondsAtMost = 60;
  const TempFolder folder;
  write_matrix(folder / "a.emb", random_matrix(1200, 70, 22));
  JobOptions options = options_for(Metric::kCosine, 5);
  options.threads = 4;
  for (const ScreenUse screen : {ScreenUse::kOff, ScreenUse::kOn}) {
    options.screen = screen;
    run_job({folder / "a.emb", ""}, folder / "parent.knn", options);
    for (int turn = 0; turn < 5; ++turn) {
      const pid_t child = ::fork();
      if (child == 0) {
        ::alarm(kSecondsAtMost);
        try {
          run_job({folder / "a.emb", ""}, folder / "child.knn", options);
        } catch (...) {
          ::_exit(1);
        }
        ::_exit(0);
      }
      int status = 0;
      ASSERT_EQ(::waitpid(child, &status, 0), child);
      ASSERT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "status " << status;
      EXPECT_EQ(read_bytes(folder / "child.knn"), read_bytes(folder / "parent.knn"));
    }
  }
}

}  // namespace
}  // namespace simtile::tests
