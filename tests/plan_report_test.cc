// What `plan` foretells is what the job's report says: bytes read and spilled, within a twentieth.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "engine/memory/process_memory.h"
#include "tests/run_tool.h"

namespace simtile::tests {
namespace {

using nlohmann::json;

class PlanReport : public testing::Test {
 protected:
  void generate(const std::string& path, int rows, int dims, const std::vector<std::string>& more = {}) {
    std::vector<std::string> arguments = {"generate",           path,         "--rows", std::to_string(rows), "--dims",
                                          std::to_string(dims), "--progress", "none"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    ASSERT_EQ(run_tool(arguments).exit_code, 0);
  }

  // Both, of the same job.
  std::pair<json, json> plan_and_report(const std::vector<std::string>& job) {
    std::vector<std::string> plan = job;
    plan.insert(plan.begin(), "plan");
    plan.emplace_back("--json");
    std::vector<std::string> run = job;
    run.insert(run.end(), {"-o", folder_ / "out.knn", "--report", folder_ / "report.json", "--progress", "none"});
    const ToolResult planned = run_tool(plan), done = run_tool(run);
    EXPECT_EQ(planned.exit_code, 0) << planned.err;
    EXPECT_EQ(done.exit_code, 0) << done.err;
    return {json::parse(planned.out), json::parse(read_bytes(folder_ / "report.json"))};
  }

  // Gives the report.
  json expect_agreement(const std::vector<std::string>& job, double share_spilled = 0.05) {
    SCOPED_TRACE(testing::PrintToString(job));
    const auto [plan, report] = plan_and_report(job);
    for (const auto& [key, share] : {std::pair{"bytes_read", 0.05}, {"bytes_spilled", share_spilled}}) {
      const double said = report[key];
      EXPECT_NEAR(plan[key].get<double>(), said, share * said) << key;
    }
    return report;
  }

  const TempFolder folder_;
  const std::string matrix_ = folder_ / "a.emb", queries_ = folder_ / "q.emb";
};

TEST_F(PlanReport, AgreeOfJoins) {
  generate(matrix_, 20'000, 32);
  for (const char* metric : {"cosine", "l2"}) {
    expect_agreement({"join", matrix_, "-k", "10", "--metric", metric});
    // What is spilled depends on which bounds are known when: 6% were seen, where a look leaves room for a small
    // sample.
    const json spilling = expect_agreement(
        {"join", matrix_, "-k", "200", "--metric", metric, "--pairs", "once", "--budget", "32MiB"}, 1.0 / 12);
    EXPECT_GT(spilling["bytes_spilled"], 20'000 * 200 * 12 * 3 / 2) << "it spilled nothing";
  }
  const json twice = expect_agreement({"join", matrix_, "-k", "200", "--budget", "32MiB"});
  EXPECT_EQ(twice["pairs_scored"], twice["pairs_total"]);
  EXPECT_NEAR(twice["bytes_spilled"].get<double>(), 20'000 * 200 * 12, 100'000) << "the rows that are done";
}

TEST_F(PlanReport, AgreeOfSearches) {
  generate(matrix_, 20'000, 64);
  generate(queries_, 2'000, 64, {"--seed", "2"});
  expect_agreement({"search", matrix_, queries_, "-k", "10"});
  const json small = expect_agreement({"search", matrix_, queries_, "-k", "300", "--budget", "24MiB"});
  EXPECT_NEAR(small["bytes_spilled"].get<double>(), 2'000 * 300 * 12, 100'000);
  generate(queries_, 20, 64, {"--seed", "2"});
  expect_agreement({"search", matrix_, queries_, "-k", "10"});
}

TEST_F(PlanReport, AgreeOfNarrowTypes) {
  generate(queries_, 2'000, 48, {"--seed", "2"});
  for (const char* dtype : {"f16", "i8", "u8"}) {
    generate(matrix_, 20'000, 48, {"--dtype", dtype});
    expect_agreement({"join", matrix_, "-k", "10"});
  }
}

TEST_F(PlanReport, AgreeOfScreenedJobs) {
  generate(matrix_, 20'000, 256, {"--kind", "clustered"});
  generate(queries_, 3'000, 256, {"--kind", "clustered", "--seed", "2"});
  EXPECT_EQ(expect_agreement({"join", matrix_, "-k", "10", "--screen", "on"})["screened"], true);
  EXPECT_EQ(expect_agreement({"search", matrix_, queries_, "-k", "10", "--screen", "on"})["screened"], true);
}

// What the kernel counted of all that was written: the output, and what was put aside on the way.
TEST_F(PlanReport, TheKernelCountedWhatWasWritten) {
  generate(matrix_, 20'000, 32);
  const json report = plan_and_report({"join", matrix_, "-k", "200", "--pairs", "once", "--budget", "32MiB"}).second;
  const double counted = report["bytes_to_storage"];
  const double said = report["bytes_spilled"].get<double>() + report["bytes_checkpointed"].get<double>() +
                      report["output_bytes"].get<double>();
  // Not every file system's writes are counted (tmpfs): this process's own, in the same folder, tell.
  const std::uint64_t before = bytes_to_storage();
  write_bytes(folder_ / "probe", std::string(1 << 20, 'x'));
  const double expected = bytes_to_storage() > before ? said : 0.0;
  EXPECT_NEAR(counted, expected, 0.05 * expected);
}

}  // namespace
}  // namespace simtile::tests
