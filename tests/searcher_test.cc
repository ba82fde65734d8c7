// Searcher against the definition, to the bit; generations; the modes of opening; many threads at once.
#include "simtile/searcher.h"

#include <gmock/gmock.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <filesystem>
#include <thread>

#include "simtile/job.h"
#include "tests/job_oracle.h"
#include "tests/test_files.h"

namespace simtile::tests {
namespace {

using testing::HasSubstr;

std::string difference(const SearchResults& results, const Answer& answer) {
  if (results.queries() != answer.size()) return "queries " + std::to_string(results.queries());
  for (std::size_t q = 0; q < answer.size(); ++q) {
    const std::string where = "query " + std::to_string(q);
    if (results[q].size() != answer[q].size())
      return where + " has " + std::to_string(results[q].size()) + ", not " + std::to_string(answer[q].size());
    for (std::size_t i = 0; i < answer[q].size(); ++i)
      if (results[q][i].row != answer[q][i].row ||
          std::bit_cast<std::uint32_t>(results[q][i].score) != std::bit_cast<std::uint32_t>(answer[q][i].score))
        return where + ", rank " + std::to_string(i);
  }
  return "";
}

// What the file holds, as f32.
TestMatrix stored(const std::string& path) {
  const Matrix file(path);
  TestMatrix matrix{file.rows(), file.columns(), {}};
  for (std::uint64_t r = 0; r < matrix.rows; ++r) {
    const std::vector<float> row = file.row(r);
    matrix.values.insert(matrix.values.end(), row.begin(), row.end());
  }
  return matrix;
}

class SearcherOfType : public testing::TestWithParam<ElementType> {};

TEST_P(SearcherOfType, AnswersAsTheDefinition) {
  const TempFolder folder;
  write_matrix(folder / "base.emb", random_matrix(1500, 37, 1), GetParam());
  const TestMatrix base = stored(folder / "base.emb");
  for (const Metric metric : {Metric::kCosine, Metric::kInnerProduct, Metric::kL2})
    for (const std::uint64_t count : {1u, 20u, 64u, 65u, 130u}) {
      const TestMatrix queries = random_matrix(count, 37, 2);
      const Answer answer = definition_answer(base, &queries, metric, 10);
      for (const Isa isa : {Isa::kScalar, Isa::kAuto}) {
        const Searcher searcher(folder / "base.emb", {.threads = isa == Isa::kScalar ? 1u : 3u, .isa = isa});
        EXPECT_EQ(difference(searcher.search(queries.values, {.top_k = 10, .metric = metric}), answer), "")
            << to_string(metric) << ", " << count << " queries";
      }
    }
}

INSTANTIATE_TEST_SUITE_P(Types, SearcherOfType,
                         testing::Values(ElementType::kF32, ElementType::kF16, ElementType::kBF16, ElementType::kI8),
                         [](const auto& type) { return std::string(to_string(type.param)); });

TEST(Searcher, AnswersAsASearchJob) {
  const TempFolder folder;
  write_matrix(folder / "base.emb", random_matrix(3000, 64, 1));
  write_matrix(folder / "queries.emb", random_matrix(100, 64, 2));
  JobOptions options;
  options.top_k = 50;
  options.min_score = 0.05f;
  run_job({folder / "base.emb", folder / "queries.emb"}, folder / "out.knn", options);
  const Searcher searcher(folder / "base.emb");
  const SearchResults results =
      searcher.search(stored(folder / "queries.emb").values, {.top_k = 50, .min_score = 0.05f});
  Answer answer(results.queries());
  for (std::uint64_t q = 0; q < results.queries(); ++q) answer[q].assign(results[q].begin(), results[q].end());
  EXPECT_EQ(first_difference(folder / "out.knn", answer), "");
}

TEST(Searcher, GivesEachQueryOfACallWhatItAskedFor) {
  const TempFolder folder;
  const TestMatrix base = random_matrix(700, 24, 1);
  write_matrix(folder / "base.emb", base);
  const Searcher searcher(folder / "base.emb", {.threads = 2});
  for (const std::size_t count : {std::size_t{5}, std::size_t{90}}) {
    const TestMatrix queries = random_matrix(count, 24, 3);
    std::vector<std::vector<std::uint64_t>> excluded(count);
    std::vector<SearchQuery> wishes(count);
    Answer answer;
    for (std::size_t q = 0; q < count; ++q) {
      const TestMatrix one{1, 24, {queries.row(q), queries.row(q) + 24}};
      const std::uint64_t top_k = 1 + q * 13 % 800;
      const std::optional<float> min_score = q % 3 == 0 ? std::optional(0.1f) : std::nullopt;
      answer.push_back(definition_answer(base, &one, Metric::kCosine, 2000, min_score)[0]);
      // The best, the worst, a row that does not exist, and one of them twice.
      if (q % 2 == 0 && !answer[q].empty())
        excluded[q] = {answer[q].back().row, answer[q].front().row, 1'000'000, answer[q].front().row};
      std::erase_if(answer[q], [&](const Neighbour& n) {
        return std::find(excluded[q].begin(), excluded[q].end(), n.row) != excluded[q].end();
      });
      answer[q].resize(std::min<std::size_t>(answer[q].size(), top_k));
      wishes[q] = {{queries.row(q), 24}, top_k, min_score, excluded[q]};
    }
    SearchResults results;
    searcher.search(wishes, Metric::kCosine, results);
    EXPECT_EQ(difference(results, answer), "") << count;
  }
}

TEST(Searcher, KeepsInfinitiesInTheirPlace) {
  const TempFolder folder;
  TestMatrix base{100, 4, std::vector<float>(400, 1e30f)};
  for (std::uint64_t r = 0; r < 100; r += 3) base.values[r * 4] = -3e38f;
  write_matrix(folder / "base.emb", base);
  for (const std::uint64_t count : {1u, 80u}) {
    const TestMatrix queries{count, 4, std::vector<float>(count * 4, 1e30f)};
    for (const Metric metric : {Metric::kInnerProduct, Metric::kL2})
      EXPECT_EQ(difference(Searcher(folder / "base.emb").search(queries.values, {.top_k = 90, .metric = metric}),
                           definition_answer(base, &queries, metric, 90)),
                "");
  }
}

TEST(Searcher, NamesWhatIsWrongWithAQuery) {
  const TempFolder folder;
  write_dense(folder / "base.emb", 10, 3);
  const Searcher searcher(folder / "base.emb");
  const auto message = [&](std::vector<float> values, SearchOptions options) {
    return expect_error(ErrorCode::kInvalidArgument, [&] { searcher.search(values, options); });
  };
  EXPECT_THAT(message({1, 2}, {}), HasSubstr("3 columns"));
  EXPECT_THAT(message({}, {}), HasSubstr("0 values"));
  EXPECT_THAT(message({1, 2, 3}, {.top_k = 0}), HasSubstr("top_k"));
  EXPECT_THAT(message({1, 2, 3, 4, NAN, 6}, {}), HasSubstr("query 1 has a value that is not finite, at 1"));
  EXPECT_THAT(message({1, 2, 3}, {.min_score = NAN}), HasSubstr("min_score"));
}

TEST(Searcher, RefusesASparseBase) {
  const TempFolder folder;
  write_sparse(folder / "base.emb", 5, {{{1}, {2.0f}}});
  EXPECT_THAT(expect_error(ErrorCode::kInvalidArgument, [&] { Searcher(folder / "base.emb"); }), HasSubstr("sparse"));
}

// A byte in the middle of the rows.
void damage(const std::string& path) {
  std::string bytes = read_bytes(path);
  bytes[200'000] = static_cast<char>(bytes[200'000] ^ 0x10);
  write_bytes(path, bytes);
}

TEST(Searcher, ChecksBytesWhenTheModeSays) {
  const TempFolder folder;
  write_dense(folder / "base.emb", 2000, 64);
  damage(folder / "base.emb");
  const std::vector<float> query(64, 1.0f);
  EXPECT_EQ(Searcher(folder / "base.emb", {.mode = OpenMode::kFast}).search(query)[0].size(), 10u);
  const Searcher on_touch(folder / "base.emb");
  EXPECT_THAT(expect_error(ErrorCode::kCorrupt, [&] { on_touch.search(query); }), HasSubstr("block 2"));
  expect_error(ErrorCode::kCorrupt, [&] { Searcher(folder / "base.emb", {.mode = OpenMode::kFull}); });
  for (const Access access : {Access::kMapped, Access::kStreamed}) {
    EXPECT_EQ(Matrix(folder / "base.emb", {OpenMode::kFast, access}).row(767).size(), 64u);
    EXPECT_EQ(Matrix(folder / "base.emb", {OpenMode::kVerifyOnTouch, access}).row(1999)[0], dense_value(1999, 0));
    expect_error(ErrorCode::kCorrupt, [&] {
      Matrix(folder / "base.emb", {OpenMode::kVerifyOnTouch, access}).row(767);
    });
    expect_error(ErrorCode::kCorrupt, [&] { Matrix(folder / "base.emb", {OpenMode::kFull, access}); });
  }
}

TEST(Searcher, SaysThatTheFileWasCutUnderIt) {
  const TempFolder folder;
  write_dense(folder / "base.emb", 2000, 64);
  const Searcher searcher(folder / "base.emb", {.mode = OpenMode::kFast});
  std::filesystem::resize_file(folder / "base.emb", 8192);
  const std::vector<float> query(64, 1.0f);
  EXPECT_THAT(expect_error(ErrorCode::kCorrupt, [&] { searcher.search(query); }), HasSubstr("cut to 8192 bytes"));
}

// Matrices of one value each: an answer tells which file it is from.
void write_generation(const std::string& path, float value, std::uint64_t rows) {
  write_matrix(path + ".new", {rows, 16, std::vector<float>(rows * 16, value)});
  std::filesystem::rename(path + ".new", path);
}

// What the parent's threads held when they were lost (a task just stolen) is never given back.
TEST(Searcher, AForkedChildDoesNotWaitForLostThreads) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  constexpr int kForks = 10;
#else
  constexpr int kForks = 400;
#endif
  const TempFolder folder;
  const TestMatrix base = random_matrix(20000, 32, 1);
  const TestMatrix queries = random_matrix(3, 32, 2);
  write_matrix(folder / "base.emb", base);
  const Answer expected = definition_answer(base, &queries, Metric::kInnerProduct, 10);
  const Searcher searcher(folder / "base.emb", {.threads = 4});
  const auto differs = [&] {
    return difference(searcher.search(queries.values, {.top_k = 10, .metric = Metric::kInnerProduct}), expected);
  };
  for (int i = 0; i < kForks; ++i) {
    ASSERT_EQ(differs(), "");
    const pid_t child = ::fork();
    if (child == 0) {
      ::alarm(20);
      ::_exit(differs().empty() ? 0 : 1);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "fork " << i << ": status " << status;
  }
}

TEST(Searcher, ReloadSwapsAReplacedFileIn) {
  const TempFolder folder;
  const std::string path = folder / "base.emb";
  write_generation(path, 1.0f, 100);
  Searcher searcher(path);
  const std::vector<float> query(16, 1.0f);
  const SearchOptions options{.top_k = 1, .metric = Metric::kInnerProduct};
  EXPECT_FALSE(searcher.reload());
  const Searcher before = searcher.snapshot();
  const Matrix rows = searcher.matrix();
  write_generation(path, 2.0f, 50);
  EXPECT_EQ(searcher.search(query, options)[0][0].score, 16.0f) << "swapped without being asked";
  EXPECT_TRUE(searcher.reload());
  EXPECT_FALSE(searcher.reload());
  EXPECT_EQ(searcher.search(query, options)[0][0].score, 32.0f);
  EXPECT_EQ(searcher.rows(), 50u);
  EXPECT_EQ(searcher.generation(), 2u);
  EXPECT_EQ(before.search(query, options)[0][0].score, 16.0f);
  EXPECT_EQ(before.generation(), 1u);
  EXPECT_EQ(rows.row(99)[0], 1.0f);
}

TEST(Searcher, KeepsTheOldFileWhenTheNewOneIsNoGood) {
  const TempFolder folder;
  const std::string path = folder / "base.emb";
  write_generation(path, 1.0f, 100);
  Searcher searcher(path);
  write_bytes(folder / "bad", "no matrix");
  std::filesystem::rename(folder / "bad", path);
  expect_error(ErrorCode::kCorrupt, [&] { searcher.reload(); });
  std::filesystem::remove(path);
  EXPECT_THAT(expect_error(ErrorCode::kIo, [&] { searcher.reload(); }), HasSubstr("is gone"));
  EXPECT_EQ(searcher.search(std::vector<float>(16, 1.0f), 1)[0].size(), 1u);
  EXPECT_EQ(searcher.generation(), 1u);
}

TEST(Searcher, SearchesFromManyThreadsWhileFilesAreSwapped) {
  const TempFolder folder;
  const std::string path = folder / "base.emb";
  write_generation(path, 1.0f, 3000);
  Searcher searcher(path, {.threads = 2});
  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> wrong{0}, searches{0};
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < 3; ++t)
    threads.emplace_back([&, t] {
      const std::vector<float> queries(16 * (t == 0 ? 70 : t), 1.0f);
      while (!stop) {
        const SearchResults results = searcher.search(queries, {.top_k = 5, .metric = Metric::kInnerProduct});
        const float value = results[0][0].score / 16.0f;
        const auto whole = static_cast<std::uint64_t>(value);
        // All from one generation: the scores are equal, and the rows are the first.
        for (std::uint64_t q = 0; q < results.queries(); ++q)
          for (std::size_t i = 0; i < 5; ++i)
            wrong += results[q][i].score != static_cast<float>(whole) * 16.0f || results[q][i].row != i;
        ++searches;
      }
    });
  for (int generation = 2; generation < 12; ++generation) {
    write_generation(path, static_cast<float>(generation), 1000 + 500 * static_cast<std::uint64_t>(generation % 5));
    EXPECT_TRUE(searcher.reload());
    const std::uint64_t seen = searches;
    while (searches < seen + 3) std::this_thread::yield();
  }
  stop = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0u);
  EXPECT_EQ(searcher.generation(), 11u);
}

TEST(Readers, AgreeInEveryModeAndAccess) {
  const TempFolder folder;
  write_dense(folder / "a.emb", 300, 7, ElementType::kI8, storage::IdKind::kString);
  write_neighbours(folder / "a.knn", folder / "a.emb", "", 4);
  for (const Access access : {Access::kMapped, Access::kStreamed})
    for (const OpenMode mode : {OpenMode::kFast, OpenMode::kVerifyOnTouch, OpenMode::kFull}) {
      const Matrix matrix(folder / "a.emb", {mode, access});
      EXPECT_EQ(matrix.find("id-123"), 123u);
      EXPECT_EQ(matrix.find("id-300"), std::nullopt);
      EXPECT_EQ(matrix.id(299), "id-299");
      EXPECT_EQ(matrix.row(5)[6], dense_value(5, 6));
      EXPECT_EQ(matrix.mapped_rows().size(), access == Access::kMapped ? 300 * 64u : 0u);
      const Neighbours neighbours(folder / "a.knn", {mode, access});
      EXPECT_EQ(neighbours.find("id-7"), 7u);
      EXPECT_EQ(neighbours.neighbours(7).size(), 4u);
      EXPECT_EQ(neighbours.base_id(neighbours.neighbours(7)[0].row), "id-8");
    }
}

TEST(Readers, ReloadMatrixAndNeighbours) {
  const TempFolder folder;
  write_dense(folder / "a.emb", 30, 7);
  write_neighbours(folder / "a.knn", folder / "a.emb", "", 2);
  Matrix matrix(folder / "a.emb");
  Neighbours neighbours(folder / "a.knn");
  const Neighbours before = neighbours.snapshot();
  write_dense(folder / "b.emb", 40, 7);
  write_neighbours(folder / "b.knn", folder / "b.emb", "", 3);
  std::filesystem::rename(folder / "b.emb", folder / "a.emb");
  std::filesystem::rename(folder / "b.knn", folder / "a.knn");
  EXPECT_TRUE(matrix.reload());
  EXPECT_TRUE(neighbours.reload());
  EXPECT_EQ(matrix.rows(), 40u);
  EXPECT_EQ(neighbours.neighbours(0).size(), 3u);
  EXPECT_EQ(before.neighbours(0).size(), 2u);
  EXPECT_EQ(before.generation(), 1u);
  EXPECT_EQ(neighbours.generation(), 2u);
}

}  // namespace
}  // namespace simtile::tests
