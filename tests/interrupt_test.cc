// Jobs that are stopped from outside: by Ctrl-C, by SIGTERM, by kill -9. Nothing half done is ever seen under the
// output's name, what was there stays until the new one is whole, and the next run takes up the work.
#include <gmock/gmock.h>

#include <csignal>
#include <memory>
#include <nlohmann/json.hpp>

#include "tests/run_tool.h"

namespace simtile::tests {
namespace {

using testing::HasSubstr;

// Jobs long enough to be caught in the middle, also where the sanitizers slow them down.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr const char* kBaseRows = "3000";
constexpr const char* kQueryRows = "2000";
#else
constexpr const char* kBaseRows = "9000";
constexpr const char* kQueryRows = "6000";
#endif

class Interrupt : public testing::Test {
 protected:
  Interrupt() {
    generate(base_, kBaseRows, "1");
    generate(queries_, kQueryRows, "2");
  }

  static void generate(const std::string& path, const char* rows, const char* seed) {
    const ToolResult result = run_tool({"generate", path, "--rows", rows, "--dims", "64", "--seed", seed});
    if (result.exit_code != 0) throw std::runtime_error(result.err);
  }

  std::vector<std::vector<std::string>> jobs() const {
    return {{"join", base_, "--top-k", "20"}, {"search", base_, queries_, "--top-k", "20"}};
  }

  std::vector<std::string> with(std::vector<std::string> job, const std::vector<std::string>& options) const {
    job.insert(job.end(), {"-o", knn_, "--report", report_, "--progress", "none"});
    job.insert(job.end(), options.begin(), options.end());
    return job;
  }

  void run(const std::vector<std::string>& arguments) {
    const ToolResult result = run_tool(arguments);
    ASSERT_EQ(result.exit_code, 0) << result.err;
  }

  std::string answer_of(const std::vector<std::string>& job) {
    run(with(job, {}));
    std::string bytes = read_bytes(knn_);
    std::filesystem::remove(knn_);
    std::filesystem::remove(report_);
    return bytes;
  }

  // Starts a job at its slowest and returns when its first checkpoint is on disk: then it is under way, and not soon
  // done.
  std::unique_ptr<Tool> start_slowly(const std::vector<std::string>& job) {
    auto tool = std::make_unique<Tool>(with(job, {"--isa", "scalar", "--threads", "1", "--checkpoint-seconds", "0"}));
    for (int tries = 0; tries < 60'000 && !std::filesystem::exists(work_ + "/journal"); ++tries) ::usleep(1000);
    return tool;
  }

  ToolResult stop(Tool& tool, int signal) {
    EXPECT_EQ(::kill(tool.pid(), signal), 0);
    ToolResult result = tool.wait();
    EXPECT_TRUE(std::filesystem::exists(work_ + "/journal"));
    // A killed process cannot clear up after itself; the next run takes the name over.
    EXPECT_TRUE(signal == SIGKILL || !std::filesystem::exists(knn_ + ".partial"));
    EXPECT_FALSE(std::filesystem::exists(report_));
    return result;
  }

  std::uint64_t tiles_resumed() const { return nlohmann::json::parse(read_bytes(report_))["tiles_resumed"]; }

  // Goes on with other threads, budget and kernels, and must end in the very same bytes.
  void expect_to_finish(const std::vector<std::string>& job, const std::vector<std::string>& options,
                        const std::string& expected) {
    run(with(job, options));
    EXPECT_GT(tiles_resumed(), 0u);
    EXPECT_TRUE(read_bytes(knn_) == expected) << "the resumed job gave another answer";
    EXPECT_FALSE(std::filesystem::exists(work_));
    EXPECT_FALSE(std::filesystem::exists(knn_ + ".partial"));
    std::filesystem::remove(knn_);
    std::filesystem::remove(report_);
  }

  const TempFolder folder_;
  const std::string base_ = folder_ / "base.emb", queries_ = folder_ / "queries.emb";
  const std::string knn_ = folder_ / "out.knn", work_ = knn_ + ".work", report_ = folder_ / "report.json";
};

TEST_F(Interrupt, SignalsEndAJobInGoodOrderAndTheNextRunGoesOn) {
  for (const std::vector<std::string>& job : jobs()) {
    const std::string expected = answer_of(job);
    for (const auto& [signal, options] :
         {std::pair{SIGINT, std::vector<std::string>{"--threads", "5", "--budget", "3GiB"}},
          {SIGTERM, {"--threads", "2", "--budget", "1GiB", "--isa", "scalar"}}}) {
      SCOPED_TRACE(job[0] + " and signal " + std::to_string(signal));
      const std::unique_ptr<Tool> tool = start_slowly(job);
      const ToolResult result = stop(*tool, signal);
      EXPECT_EQ(result.exit_code, 130);
      EXPECT_EQ(result.out, "");
      EXPECT_THAT(result.err, HasSubstr("run the same command again"));
      EXPECT_FALSE(std::filesystem::exists(knn_));
      expect_to_finish(job, options, expected);
    }
  }
}

TEST_F(Interrupt, AKilledJobGoesOnFromItsLastCheckpoint) {
  for (const std::vector<std::string>& job : jobs()) {
    SCOPED_TRACE(job[0]);
    const std::string expected = answer_of(job);
    const std::unique_ptr<Tool> tool = start_slowly(job);
    EXPECT_EQ(stop(*tool, SIGKILL).exit_code, 128 + SIGKILL);
    EXPECT_FALSE(std::filesystem::exists(knn_));
    expect_to_finish(job, {"--threads", "5", "--budget", "1GiB"}, expected);
  }
}

// Killed again and again at moments that nobody chose.
TEST_F(Interrupt, AJobThatIsKilledManyTimesStillEndsInTheSameBytes) {
  const std::vector<std::string> job = jobs()[0];
  const std::string expected = answer_of(job);
  for (int kill_after_ms = 20; kill_after_ms <= 260; kill_after_ms += 40) {
    Tool tool(with(job, {"--threads", "2", "--isa", "scalar", "--checkpoint-seconds", "0"}));
    ::usleep(static_cast<useconds_t>(kill_after_ms) * 1000);
    ASSERT_EQ(::kill(tool.pid(), SIGKILL), 0);
    const int exit_code = tool.wait().exit_code;
    ASSERT_TRUE(exit_code == 128 + SIGKILL || exit_code == 0) << exit_code;
    if (std::filesystem::exists(knn_)) {
      EXPECT_TRUE(read_bytes(knn_) == expected);
    }
  }
  run(with(job, {}));
  EXPECT_TRUE(read_bytes(knn_) == expected) << "kills changed the answer";
  EXPECT_FALSE(std::filesystem::exists(work_));
}

// Supervisors send SIGTERM to the process and to its group, and again when they wait too long.
TEST_F(Interrupt, MoreSignalsWhileAJobStopsLoseNothing) {
  const std::vector<std::string> job = jobs()[0];
  const std::string expected = answer_of(job);
  for (const std::vector<int>& signals :
       {std::vector<int>(20, SIGTERM), {SIGINT, SIGTERM, SIGTERM}, {SIGTERM, SIGTERM, SIGINT}}) {
    SCOPED_TRACE(testing::PrintToString(signals));
    const std::unique_ptr<Tool> tool = start_slowly(job);
    for (const int signal : signals) {
      ASSERT_EQ(::kill(tool->pid(), signal), 0);
      ::usleep(500);  // two of a kind would become one while the first is pending
    }
    const ToolResult result = tool->wait();
    EXPECT_EQ(result.exit_code, 130);
    EXPECT_THAT(result.err, HasSubstr("run the same command again"));
    EXPECT_TRUE(std::filesystem::exists(work_ + "/journal"));
    EXPECT_FALSE(std::filesystem::exists(knn_ + ".partial"));
    EXPECT_FALSE(std::filesystem::exists(knn_));
    expect_to_finish(job, {}, expected);
  }
}

// It is a person who will not wait, and may come in the middle of a checkpoint.
TEST_F(Interrupt, ASecondCtrlCEndsTheProcessAtOnceAndTheNextRunGoesOn) {
  const std::vector<std::string> job = jobs()[0];
  const std::string expected = answer_of(job);
  int ended_at_once = 0;
  for (const useconds_t microseconds : {500u, 2'000u, 5'000u, 10'000u, 20'000u, 40'000u}) {
    SCOPED_TRACE(microseconds);
    const std::unique_ptr<Tool> tool = start_slowly(job);
    ASSERT_EQ(::kill(tool->pid(), SIGINT), 0);
    ::usleep(microseconds);
    ASSERT_EQ(::kill(tool->pid(), SIGINT), 0);
    const ToolResult result = tool->wait();
    EXPECT_EQ(result.exit_code, 128 + SIGINT);  // 130 as well when the checkpoint was sooner
    ended_at_once += result.err.empty();
    EXPECT_TRUE(std::filesystem::exists(work_ + "/journal"));
    EXPECT_FALSE(std::filesystem::exists(knn_));
    expect_to_finish(job, {}, expected);
  }
  EXPECT_GT(ended_at_once, 0);
}

TEST_F(Interrupt, FreshStartsOver) {
  const std::vector<std::string> job = jobs()[0];
  const std::string expected = answer_of(job);
  const std::unique_ptr<Tool> tool = start_slowly(job);
  EXPECT_EQ(stop(*tool, SIGINT).exit_code, 130);
  run(with(job, {"--fresh"}));
  EXPECT_EQ(tiles_resumed(), 0u);
  EXPECT_TRUE(read_bytes(knn_) == expected);
  EXPECT_FALSE(std::filesystem::exists(work_));
}

TEST_F(Interrupt, ASecondJobOnTheWorkFolderIsRefusedWithTheFirstsProcess) {
  const std::vector<std::string> job = jobs()[0];
  const std::string expected = answer_of(job);
  const std::unique_ptr<Tool> first = start_slowly(job);
  ASSERT_EQ(::kill(first->pid(), SIGSTOP), 0);  // so that it is still there, however slow the second is
  for (const std::vector<std::string>& options : {std::vector<std::string>{}, {"--fresh"}, {"--metric", "l2"}}) {
    std::vector<std::string> arguments = job;
    arguments.insert(arguments.end(), {"-o", knn_});
    arguments.insert(arguments.end(), options.begin(), options.end());
    const ToolResult second = run_tool(arguments);
    EXPECT_EQ(second.exit_code, 2) << second.err;
    EXPECT_THAT(second.err, HasSubstr("in use by process " + std::to_string(first->pid()) + ";"));
    EXPECT_FALSE(std::filesystem::exists(knn_));
  }
  ASSERT_EQ(::kill(first->pid(), SIGCONT), 0);
  EXPECT_EQ(stop(*first, SIGTERM).exit_code, 130);  // unharmed by the others
  expect_to_finish(job, {}, expected);
}

TEST_F(Interrupt, TheOlderOutputStaysUntilTheNewOneIsWhole) {
  const std::vector<std::string> job = jobs()[0];
  const std::string expected = answer_of(job);
  run(with({"join", base_, "--top-k", "3", "--metric", "l2"}, {}));
  std::filesystem::remove(report_);
  const std::string older = read_bytes(knn_);
  ASSERT_FALSE(older == expected);
  for (const int signal : {SIGINT, SIGKILL}) {
    const std::unique_ptr<Tool> tool = start_slowly(job);
    EXPECT_TRUE(read_bytes(knn_) == older);
    stop(*tool, signal);
    EXPECT_TRUE(read_bytes(knn_) == older);
    std::filesystem::remove_all(work_);
  }
  run(with(job, {}));
  EXPECT_TRUE(read_bytes(knn_) == expected);
}

}  // namespace
}  // namespace simtile::tests
