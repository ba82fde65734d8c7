// The page budget holds: what the kernel calls the tool's peak (VmHWM, by wait4) stays within --budget, for every kind
// of matrix and for every verb, when the data is larger than the budget.
// Not under a sanitizer: it makes the process larger than the plan can know (shadow memory, quarantine).
#include <gmock/gmock.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "tests/run_tool.h"

namespace simtile::tests {
namespace {

using nlohmann::json;
using testing::HasSubstr;

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;

std::string mebibytes(std::uint64_t count) { return std::to_string(count) + "MiB"; }

// Whole numbers, so that every element type holds them; written row by row, since a child of a large process starts
// its life large.
void write_large_dense(const std::string& path, ElementType type, std::uint64_t rows, std::uint64_t columns) {
  storage::MatrixWriterOptions options;
  options.element_type = type;
  options.columns = columns;
  storage::MatrixWriter writer(path, options);
  std::vector<float> row(columns);
  std::uint32_t state = 1;
  for (std::uint64_t r = 0; r < rows; ++r) {
    for (float& value : row) value = static_cast<float>((state = state * 1664525 + 1013904223) >> 24);
    writer.append_rows(row);
  }
  writer.finish();
}

constexpr std::uint32_t kSparseColumns = 200'000;

void write_large_sparse(const std::string& path, std::uint64_t rows, std::uint32_t nonzeros) {
  storage::MatrixWriterOptions options;
  options.layout = storage::MatrixLayout::kCsr;
  options.columns = kSparseColumns;
  storage::MatrixWriter writer(path, options);
  std::vector<std::uint32_t> columns(nonzeros);
  std::vector<float> values(nonzeros);
  const std::uint32_t step = kSparseColumns / nonzeros;
  std::uint32_t state = 1;
  for (std::uint64_t r = 0; r < rows; ++r) {
    for (std::uint32_t i = 0; i < nonzeros; ++i) {
      state = state * 1664525 + 1013904223;
      columns[i] = i * step + (state >> 8) % step;
      values[i] = static_cast<float>(state >> 24) + 1.0f;
    }
    writer.append_sparse_row(columns, values);
  }
  writer.finish();
}

json report_at(const std::string& path) { return json::parse(read_bytes(path)); }

void expect_within(const ToolResult& result, std::uint64_t budget_bytes) {
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_LE(result.peak_rss_bytes, budget_bytes);
}

// The budget that the error names; `arguments` are a job's, without --budget.
std::uint64_t smallest_budget_mebibytes(std::vector<std::string> arguments) {
  arguments.insert(arguments.end(), {"--budget", "1"});
  const ToolResult refused = run_tool(arguments);
  EXPECT_EQ(refused.exit_code, 4) << refused.err;
  const std::string words = "the smallest that works is ";
  const std::size_t at = refused.err.find(words);
  if (at == std::string::npos) throw std::runtime_error("no budget is named: " + refused.err);
  return std::stoull(refused.err.substr(at + words.size()));  // "<count>MiB"
}

class Budget : public testing::Test {
 protected:
  // Runs a job and holds it to its budget; gives the report.
  json run_within(std::vector<std::string> arguments, std::uint64_t budget_mebibytes, int threads) {
    arguments.insert(arguments.end(), {"--threads", std::to_string(threads), "-o", knn_, "--report", report_,
                                       "--progress", "none", "--checkpoint-seconds", "1000"});
    arguments.insert(arguments.end(), {"--budget", mebibytes(budget_mebibytes)});
    SCOPED_TRACE(arguments[0] + ' ' + mebibytes(budget_mebibytes) + ' ' + std::to_string(threads) + " threads");
    const ToolResult result = run_tool(arguments);
    expect_within(result, budget_mebibytes * kMiB);
    json report = report_at(report_);
    EXPECT_EQ(report["budget_bytes"], budget_mebibytes * kMiB);
    EXPECT_LE(report["planned_peak_bytes"], budget_mebibytes * kMiB);
    const auto kernels_figure = static_cast<double>(result.peak_rss_bytes);
    EXPECT_NEAR(report["peak_rss_bytes"].get<double>(), kernels_figure, 0.02 * kernels_figure);
    return report;
  }

  // Every budget and every number of threads, for a matrix that is larger than the smallest budget.
  void run_all(const std::string& base, const std::string& queries, const std::vector<std::string>& metrics) {
    ASSERT_GT(std::filesystem::file_size(base), 48 * kMiB);
    std::size_t metric = 0;
    // Under a sanitizer only the plan's figures can be compared, and each run is slow: one of each kind does.
    const std::vector<int> all_threads = {1, 2, 5};
    const std::vector<std::uint64_t> budgets = {48, 64, 128, 512, 4096};
    for (const int threads : all_threads)
      for (const std::uint64_t budget : budgets) {
        run_within({"search", base, queries, "--metric", metrics[++metric % metrics.size()]}, budget, threads);
        run_within({"join", queries, "--metric", metrics[metric % metrics.size()]}, budget, threads);
      }
    for (const auto& [budget, threads] : {std::pair{48, 2}, {128, 5}})
      run_within({"join", base, "--metric", metrics[++metric % metrics.size()]}, std::uint64_t(budget), threads);
  }

  const TempFolder folder_;
  const std::string base_ = folder_ / "base.emb", queries_ = folder_ / "queries.emb";
  const std::string knn_ = folder_ / "out.knn", report_ = folder_ / "report.json";
};

TEST_F(Budget, HoldsForFloats) {
  write_large_dense(base_, ElementType::kF32, 1800, 8192);
  write_large_dense(queries_, ElementType::kF32, 100, 8192);
  run_all(base_, queries_, {"cosine", "ip", "l2"});
}

TEST_F(Budget, HoldsForBytes) {
  write_large_dense(base_, ElementType::kU8, 4200, 12288);
  write_large_dense(queries_, ElementType::kU8, 50, 12288);
  run_all(base_, queries_, {"cosine", "ip", "l2"});
}

TEST_F(Budget, HoldsForSparseRows) {
  write_large_sparse(base_, 8000, 800);
  write_large_sparse(queries_, 200, 800);
  // Sparse l2 visits every dimension that either row holds, the others only those that both do: l2 on the small one.
  run_all(base_, queries_, {"cosine", "ip"});
  for (const std::uint64_t budget : {48u, 128u}) run_within({"join", queries_, "--metric", "l2"}, budget, 2);
}

TEST_F(Budget, HoldsWhenTheResultsSpill) {
  constexpr std::uint64_t kRows = 10'000;
  // 10,000 rows x 800 keys of 8 bytes: more than the smaller budgets have left.
  ASSERT_EQ(run_tool({"generate", base_, "--rows", std::to_string(kRows), "--dims", "8"}).exit_code, 0);
  const json spilling = run_within({"join", base_, "--top-k", "400", "--pairs", "once"}, 48, 2);
  EXPECT_GT(spilling["bytes_spilled"], 0);
  const json twice = run_within({"join", base_, "--top-k", "400", "--pairs", "twice"}, 48, 2);
  EXPECT_EQ(twice["pairs_scored"], twice["pairs_total"]);
  EXPECT_EQ(twice["output_xxh3"], spilling["output_xxh3"]);
  // Compared by their hashes: reading them would make this process, and so its children's first moments, large.
  const json resident = run_within({"join", base_, "--top-k", "400"}, 512, 2);
  EXPECT_EQ(resident["bytes_spilled"], 0);
  EXPECT_EQ(resident["output_xxh3"], spilling["output_xxh3"]) << "the budget changed the answer";
}

TEST_F(Budget, TooSmallIsRefusedAndTheOneNamedWorks) {
  ASSERT_EQ(run_tool({"generate", base_, "--rows", "3000", "--dims", "600"}).exit_code, 0);
  ASSERT_EQ(run_tool({"generate", queries_, "--rows", "500", "--dims", "600"}).exit_code, 0);
  for (const std::vector<std::string>& job :
       {std::vector<std::string>{"join", base_}, {"join", base_, "-k", "2000"}, {"search", base_, queries_}})
    for (const int threads : {1, 5}) {
      std::vector<std::string> arguments = job;
      arguments.insert(arguments.end(), {"-o", knn_, "--threads", std::to_string(threads)});
      const std::uint64_t named = smallest_budget_mebibytes(arguments);
      const json report = run_within(job, named, threads);
      EXPECT_NEAR(report["smallest_budget_bytes"].get<double>(), double(named * kMiB), double(kMiB));
      std::filesystem::remove(knn_);
      // The process's own size varies by some pages from run to run, so the one that is named has room: half a mebibyte
      // and what makes it whole. Two below it, no run works.
      arguments.insert(arguments.end(), {"--budget", mebibytes(named - 2)});
      const ToolResult refused = run_tool(arguments);
      EXPECT_EQ(refused.exit_code, 4);
      EXPECT_THAT(refused.err, HasSubstr("the smallest that works is "));
      EXPECT_FALSE(std::filesystem::exists(knn_));
      EXPECT_FALSE(std::filesystem::exists(knn_ + ".work"));
    }
}

// Exit code 4, or done within the budget: nothing else is allowed of a budget near the smallest.
void expect_refused_or_within(const ToolResult& result, std::uint64_t budget_bytes) {
  if (result.exit_code == 4)
    EXPECT_THAT(result.err, HasSubstr("the smallest that works is "));
  else
    expect_within(result, budget_bytes);
}

TEST_F(Budget, WhatPlanNamesWorksAndLessIsRefusedOrWorksToo) {
  const std::string sparse_base = folder_ / "sparse_base.emb", sparse_queries = folder_ / "sparse_queries.emb";
  write_large_dense(base_, ElementType::kF32, 3000, 600);
  write_large_dense(queries_, ElementType::kF32, 500, 600);
  write_large_sparse(sparse_base, 3000, 100);
  write_large_sparse(sparse_queries, 500, 100);
  for (const std::vector<std::string>& job : {std::vector<std::string>{"join", base_},
                                              {"search", base_, queries_},
                                              {"join", sparse_base},
                                              {"search", sparse_base, sparse_queries}})
    for (const char* top_k : {"10", "1000"})
      for (const int threads : {1, 2}) {
        std::vector<std::string> arguments = job;
        arguments.insert(arguments.end(), {"--top-k", top_k, "--threads", std::to_string(threads)});
        std::vector<std::string> plan = arguments;
        plan.insert(plan.begin(), "plan");
        plan.emplace_back("--json");
        const json planned = json::parse(run_tool(plan).out);
        const std::uint64_t named = planned["smallest_budget_bytes"].get<std::uint64_t>() / kMiB;
        EXPECT_EQ(planned["smallest_budget_bytes"], named * kMiB) << "not whole mebibytes";
        arguments.insert(arguments.end(), {"-o", knn_, "--progress", "none", "--budget", mebibytes(named)});
        SCOPED_TRACE(testing::PrintToString(arguments));
        expect_within(run_tool(arguments), named * kMiB);
        arguments.back() = mebibytes(named - 1);
        expect_refused_or_within(run_tool(arguments), (named - 1) * kMiB);
      }
}

// A row's neighbours are written in one piece, however few of them there are.
TEST_F(Budget, HoldsForAFewRowsAndAHugeTopK) {
  write_large_dense(base_, ElementType::kF32, 3, 4);
  write_large_dense(queries_, ElementType::kF32, 2, 4);
  int refused = 0, done = 0;
  for (const std::vector<std::string>& job : {std::vector<std::string>{"join", base_}, {"search", base_, queries_}})
    for (const std::uint64_t top_k : {100'000u, 1'000'000u, 3'000'000u, 30'000'000u, 1'000'000'000u, 1u << 31})
      for (const std::uint64_t budget : {32u, 64u, 128u}) {
        std::vector<std::string> arguments = job;
        arguments.insert(arguments.end(), {"--top-k", std::to_string(top_k), "--threads", "1", "-o", knn_, "--progress",
                                           "none", "--budget", mebibytes(budget)});
        SCOPED_TRACE(testing::PrintToString(arguments));
        const ToolResult result = run_tool(arguments);
        expect_refused_or_within(result, budget * kMiB);
        ++(result.exit_code == 0 ? done : refused);
      }
  EXPECT_GT(refused, 0);
  EXPECT_GT(done, 0);
  const ToolResult beyond = run_tool({"join", base_, "--top-k", "2147483649", "-o", knn_});
  EXPECT_EQ(beyond.exit_code, 2);
  EXPECT_THAT(beyond.err, HasSubstr("2147483648"));
}

// A .npy of zeros that takes no room on disk.
void write_sparse_npy(const std::string& path, std::uint64_t rows, std::uint64_t columns) {
  std::string header = "{'descr': '<f4', 'fortran_order': False, 'shape': (" + std::to_string(rows) + ", " +
                       std::to_string(columns) + "), }";
  header.resize(118 - 1, ' ');
  header += '\n';
  const auto length = static_cast<char>(header.size());
  write_bytes(path, std::string("\x93NUMPY\x01\x00", 8) + length + '\0' + header);
  std::filesystem::resize_file(path, 10 + header.size() + rows * columns * sizeof(float));
}

TEST_F(Budget, EveryVerbStreams) {
  constexpr std::uint64_t kBudgetMebibytes = 48;
  const std::string npy = folder_ / "large.npy";
  write_sparse_npy(npy, 100'000, 512);
  ASSERT_GT(std::filesystem::file_size(npy), 190 * kMiB);
  ASSERT_EQ(run_tool({"generate", queries_, "--rows", "200000", "--dims", "1"}).exit_code, 0);
  ASSERT_EQ(run_tool({"generate", base_, "--rows", "100", "--dims", "1"}).exit_code, 0);
  const std::string wide = folder_ / "wide.emb";
  ASSERT_EQ(run_tool({"generate", wide, "--rows", "60000", "--dims", "256", "--kind", "clustered"}).exit_code, 0);
  ASSERT_EQ(run_tool({"search", base_, queries_, "-k", "30", "-o", knn_}).exit_code, 0);
  ASSERT_GT(std::filesystem::file_size(knn_), kBudgetMebibytes * kMiB);
  const std::string emb = folder_ / "large.emb";
  for (const std::vector<std::string>& verb :
       {std::vector<std::string>{"import", npy, emb, "--progress", "none"},
        {"generate", folder_ / "made.emb", "--rows", "60000", "--dims", "256", "--progress", "none"},
        {"info", emb},
        {"verify", emb},
        {"screen", wide},
        {"plan", "join", emb},
        {"info", knn_},
        {"verify", knn_},
        {"neighbors", knn_, "--row", "150000"},
        {"export", knn_, folder_ / "out.csv"},
        {"export", knn_, folder_ / "out.ndjson"},
        {"export", knn_, folder_ / "out.npy"},
        {"export", knn_, folder_ / "out.ivecs"}}) {
    SCOPED_TRACE(verb[0] + ' ' + verb.back());
    std::vector<std::string> arguments = verb;
    arguments.insert(arguments.end(), {"--budget", mebibytes(kBudgetMebibytes)});
    expect_within(run_tool(arguments), kBudgetMebibytes * kMiB);
  }
}

TEST_F(Budget, HoldsForShardsAndTheirMerge) {
  write_large_dense(base_, ElementType::kF32, 10'000, 16);
  const std::vector<std::string> job = {"--top-k", "400", "-o", knn_, "--progress", "none"};
  const auto run_within_budget = [&](std::vector<std::string> arguments, std::uint64_t budget) {
    arguments.insert(arguments.end(), job.begin(), job.end());
    arguments.insert(arguments.end(), {"--budget", mebibytes(budget)});
    SCOPED_TRACE(testing::PrintToString(arguments));
    expect_within(run_tool(arguments), budget * kMiB);
  };
  for (const std::uint64_t budget : {48u, 256u}) {
    for (const char* shard : {"1/3", "2/3", "3/3"}) run_within_budget({"join", base_, "--shard", shard}, budget);
    std::uint64_t put_by = 0;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(knn_ + ".work"))
      if (entry.is_regular_file()) put_by += entry.file_size();
    EXPECT_GT(put_by, 48 * kMiB);
    run_within_budget({"merge", base_}, budget);
  }
}

}  // namespace
}  // namespace simtile::tests
