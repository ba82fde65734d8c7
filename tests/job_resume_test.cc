// The same bytes whatever the budget, the threads, the kernel, and however often the job was stopped and resumed.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>
#include <xxhash.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/base/os.h"
#include "engine/join/checkpointer.h"
#include "engine/join/journal.h"
#include "engine/kernels/tile_kernel.h"
#include "engine/plan/memory_model.h"
#include "simtile/error.h"
#include "simtile/job.h"
#include "tests/job_oracle.h"
#include "tests/test_files.h"

namespace simtile::tests {
namespace {

// Whether a job that is stopped had the smaller budget, and the one that goes on has it.
using BudgetPair = std::pair<bool, bool>;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr std::uint64_t kRows = 2100;  // each access is checked: fewer of them
constexpr std::uint64_t kTopK = 250;
constexpr std::array kBudgetPairs{BudgetPair{false, true}, BudgetPair{true, false}};
#else
constexpr std::uint64_t kRows = 4000;
constexpr std::uint64_t kTopK = 400;  // 4,000 x 450 keys of 8 bytes do not fit in the smaller budget: that one spills
constexpr std::array kBudgetPairs{BudgetPair{false, false}, BudgetPair{false, true}, BudgetPair{true, false},
                                  BudgetPair{true, true}};
#endif
#if defined(__SANITIZE_THREAD__)
constexpr std::array kIsas{Isa::kAuto};  // only where threads meet
constexpr std::array kThreads{2u, 5u};
#else
constexpr std::array kIsas{Isa::kScalar, Isa::kAvx2, Isa::kAvx512};
#if defined(__SANITIZE_ADDRESS__)
constexpr std::array kThreads{2u};
#else
constexpr std::array kThreads{1u, 2u, 5u};
#endif
#endif

struct Fixture {
  TempFolder folder;
  std::string base = folder / "a.emb";
  std::string queries = folder / "q.emb";
  Fixture() {
    write_matrix(base, random_matrix(kRows, 12, 1));
    write_matrix(queries, random_matrix(kRows, 12, 2));
  }
};

JobOptions options_for(std::uint64_t budget_bytes) {
  JobOptions options;
  options.metric = Metric::kCosine;
  options.top_k = kTopK;
  options.budget_bytes = budget_bytes;
  options.threads = 2;
  options.pairs = PairScoring::kOnce;  // so that a small budget spills
  options.checkpoint_seconds = 1e9;    // jobs that are stopped put by what is done; checkpoints would only take time
  return options;
}

// Budgets relative to what the job needs at least: sanitizers make the process itself larger. With more to spare, a
// search would go through so few stripes that there is no place to stop it.
constexpr std::uint64_t kSpareBytes = std::uint64_t{2} << 20;
std::uint64_t small_budget(const JobInput& input) {
  JobOptions options = options_for(1 << 20);
  return plan_job_at_least(input, options).smallest_budget_bytes + kSpareBytes;
}
constexpr std::uint64_t kLargeBudget = std::uint64_t{4} << 30;

TEST(JobDeterminism, BudgetThreadsAndKernelsDoNotChangeTheBytes) {
  const Fixture fixture;
  for (const JobInput& input : {JobInput{fixture.base, ""}, JobInput{fixture.base, fixture.queries}}) {
    JobOptions options = options_for(kLargeBudget);
    run_job(input, fixture.folder / "expected.knn", options);
    const std::string expected = read_bytes(fixture.folder / "expected.knn");
    options.budget_bytes = small_budget(input);
    const bool is_join = input.queries_path.empty();
    EXPECT_EQ(plan_job(input, options).spills, is_join);
    for (const Isa isa : kIsas) {
      if (!kernels::is_supported(isa)) continue;
      for (const std::uint32_t threads : kThreads) {
        options.isa = isa;
        options.threads = threads;
        options.budget_bytes = threads == 2 ? kLargeBudget : small_budget(input) + 4 * kSpareBytes;
        for (const PairScoring pairs : {PairScoring::kOnce, PairScoring::kTwice}) {
          if (pairs == PairScoring::kTwice && (!is_join || threads == 1)) continue;
          options.pairs = pairs;
          const JobReport report = run_job(input, fixture.folder / "out.knn", options);
          EXPECT_EQ(read_bytes(fixture.folder / "out.knn"), expected)
              << to_string(isa) << ' ' << threads << ' ' << to_string(pairs);
          EXPECT_FALSE(std::filesystem::exists(fixture.folder / "out.knn.work"));
          EXPECT_EQ(report.tiles_resumed, 0u);
          const std::uint64_t times = is_join && pairs == PairScoring::kOnce ? 2 : 1;
          EXPECT_EQ(report.pairs_scored * times, report.plan.pairs_total);
        }
      }
    }
  }
}

TEST(JobDeterminism, NorDoesMemoryThatIsShortForAWhile) {
  const Fixture fixture;
  for (const JobInput& input : {JobInput{fixture.base, ""}, JobInput{fixture.base, fixture.queries}}) {
    JobOptions options = options_for(kLargeBudget);
    const JobReport expected = run_job(input, fixture.folder / "expected.knn", options);
    EXPECT_EQ(expected.stripes_while_short, 0u);
    for (const bool small : {false, true}) {
      options.budget_bytes = small ? small_budget(input) : kLargeBudget;
      int asked = 0;
      options.memory_is_short = [&asked] { return asked++ / 2 % 2 == 1; };
      const JobReport report = run_job(input, fixture.folder / "out.knn", options);
      EXPECT_GT(report.stripes_while_short, 0u);
      EXPECT_LT(report.stripes_while_short, report.plan.stripes_total);
      EXPECT_EQ(report.output_xxh3, expected.output_xxh3);
    }
  }
}

// Runs until about `fraction` of the job is done, then stops it: on one thread, where few tiles are under way; more
// threads may be through with so small a job before one of them looks.
void run_and_stop(const JobInput& input, const std::string& output, JobOptions options, double fraction) {
  std::atomic<bool> stop{false};
  options.threads = 1;
  options.stop = &stop;
  options.progress = [&](const JobProgress& progress) {
    if (progress.fraction_done >= fraction) stop = true;
  };
  try {
    run_job(input, output, options);
    FAIL() << "the job was not stopped";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInterrupted) << error.what();
  }
}

TEST(JobResume, StoppedJobsGoOnUnderAnyBudgetAndEndInTheSameBytes) {
  const Fixture fixture;
  for (const JobInput& input : {JobInput{fixture.base, ""}, JobInput{fixture.base, fixture.queries}}) {
    const std::string out = fixture.folder / "out.knn";
    run_job(input, out, options_for(kLargeBudget));
    const std::string expected = read_bytes(out);
    for (const auto& [first_is_small, second_is_small] : kBudgetPairs) {
      const auto options = [&](bool small) { return options_for(small ? small_budget(input) : kLargeBudget); };
      std::filesystem::remove(out);
      run_and_stop(input, out, options(first_is_small), 0.2);
      EXPECT_FALSE(std::filesystem::exists(out));
      run_and_stop(input, out, options(second_is_small), 0.45);
      const JobReport report = run_job(input, out, options(second_is_small));
      EXPECT_GT(report.tiles_resumed, 0u);
      EXPECT_LE(report.pairs_scored * 10, report.plan.pairs_scored * 6);
      EXPECT_EQ(read_bytes(out), expected) << first_is_small << second_is_small;
      EXPECT_FALSE(std::filesystem::exists(out + ".work"));
    }
  }
}

// What final rows found for the others was put by, or was not: whatever the next process would choose.
TEST(JobResume, AJoinGoesOnToScorePairsOnceOrTwiceAsItBegan) {
  const Fixture fixture;
  const JobInput input{fixture.base, ""};
  const std::string out = fixture.folder / "out.knn";
  run_job(input, out, options_for(kLargeBudget));
  const std::string expected = read_bytes(out);
  for (const bool first_is_small : {false, true})
    for (const auto& [first, second] :
         {std::pair{PairScoring::kOnce, PairScoring::kTwice}, std::pair{PairScoring::kTwice, PairScoring::kOnce},
          std::pair{PairScoring::kTwice, PairScoring::kAuto}}) {
      JobOptions options = options_for(first_is_small ? small_budget(input) : kLargeBudget);
      options.pairs = first;
      std::filesystem::remove(out);
      run_and_stop(input, out, options, 0.45);
      options.pairs = second;
      options.budget_bytes = first_is_small ? kLargeBudget : small_budget(input);
      const JobReport report = run_job(input, out, options);
      EXPECT_GT(report.tiles_resumed, 0u);
      EXPECT_LE(report.pairs_scored * 10, report.plan.pairs_scored * 6);
      EXPECT_EQ(report.plan.pairs_scored * (first == PairScoring::kOnce ? 2 : 1), report.plan.pairs_total);
      EXPECT_TRUE(read_bytes(out) == expected) << to_string(first) << ' ' << to_string(second);
    }
}

// Kills the job at half, a checkpoint at each stripe's end.
void run_and_kill(const JobInput& input, const std::string& out, JobOptions options) {
  const pid_t child = ::fork();
  if (child == 0) {
    options.threads = 1;
    options.checkpoint_seconds = 0.0;
    options.progress = [](const JobProgress& progress) {
      if (progress.fraction_done >= 0.5) ::kill(::getpid(), SIGKILL);
    };
    run_job(input, out, options);
    ::_exit(0);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status));
}

// A job that spilled and was stopped before a row was final leaves candidates, which one that scores pairs twice must
// not take for its own.
TEST(JobResume, AJoinStoppedBeforeItsFirstRowsMayScorePairsInTheOtherWay) {
  const Fixture fixture;
  const JobInput input{fixture.base, ""};
  const std::string out = fixture.folder / "out.knn";
  run_job(input, out, options_for(kLargeBudget));
  const std::string expected = read_bytes(out);
  std::filesystem::remove(out);
  JobOptions options = options_for(small_budget(input));
  options.threads = 1;
  options.pairs = PairScoring::kOnce;
  run_and_stop(input, out, options, 0.0);
  options.pairs = PairScoring::kTwice;
  run_and_stop(input, out, options, 0.45);
  options.pairs = PairScoring::kAuto;
  const JobReport report = run_job(input, out, options);
  EXPECT_GT(report.tiles_resumed, 0u);
  EXPECT_TRUE(read_bytes(out) == expected);
}

// Whatever its length: of a job that was stopped before it had a run, it was shorter.
TEST(JobResume, AJournalOfAnotherVersionIsRefusedByName) {
  const Fixture fixture;
  const std::string out = fixture.folder / "out.knn";
  for (const std::size_t length : {16u, 64u, 200u}) {
    std::string journal = std::string("SIMTJRN\n\2", 9);
    journal.resize(length, '\0');
    const std::uint64_t hash = XXH3_64bits(journal.data(), journal.size());
    journal.append(reinterpret_cast<const char*>(&hash), sizeof hash);
    std::filesystem::create_directory(out + ".work");
    write_bytes(out + ".work/journal", journal);
    const std::string message = expect_error(ErrorCode::kCorrupt, [&] {
      run_job({fixture.base, ""}, out, options_for(kLargeBudget));
    });
    EXPECT_NE(message.find("another version"), std::string::npos) << message;
    JobOptions fresh = options_for(kLargeBudget);
    fresh.fresh = true;
    run_job({fixture.base, ""}, out, fresh);
  }
}

TEST(JobResume, OnlyAJoinForTheBestKScoresPairsTwice) {
  const Fixture fixture;
  JobOptions options = options_for(kLargeBudget);
  options.pairs = PairScoring::kTwice;
  expect_error(ErrorCode::kInvalidArgument, [&] { plan_job({fixture.base, fixture.queries}, options); });
  options.top_k = 0;
  options.min_score = 0.9f;
  expect_error(ErrorCode::kInvalidArgument, [&] { plan_job({fixture.base, ""}, options); });
  options.top_k = kTopK;
  options.pairs = PairScoring::kAuto;
  options.budget_bytes = small_budget({fixture.base, ""});
  EXPECT_TRUE(plan_job({fixture.base, ""}, options).spills) << "little passes that could be spilled";
}

// A minimum score that leaves nothing to put by for later rows says nothing of how they are scored.
TEST(JobResume, AJoinThatFoundNothingForLaterRowsStillScoresPairsOnce) {
  const Fixture fixture;
  const JobInput input{fixture.base, ""};
  const std::string out = fixture.folder / "out.knn";
  JobOptions options = options_for(small_budget(input));
  options.min_score = 2.0f;
  options.pairs = PairScoring::kOnce;
  run_and_kill(input, out, options);
  const JobReport report = run_job(input, out, options);
  EXPECT_GT(report.tiles_resumed, 0u);
  EXPECT_EQ(report.plan.pairs_scored * 2, kRows * (kRows - 1));
}

TEST(JobResume, KilledJobsGoOn) {
  const Fixture fixture;
  const JobInput input{fixture.base, ""};
  const std::string out = fixture.folder / "out.knn";
  run_job(input, out, options_for(kLargeBudget));
  const std::string expected = read_bytes(out);
  std::filesystem::remove(out);
  run_and_kill(input, out, options_for(kLargeBudget));
  EXPECT_FALSE(std::filesystem::exists(out));
  const JobReport report = run_job(input, out, options_for(kLargeBudget));
  EXPECT_LT(report.pairs_scored, report.plan.pairs_scored * 3 / 4);
  EXPECT_EQ(read_bytes(out), expected);
}

// A few may take a tenth of a job's time, more a 25th; where not even one may, there is none.
TEST(JobResume, CheckpointsAreSpreadByWhatTheyCost) {
  EXPECT_NEAR(join::worthwhile_checkpoints(100.0, 20.0), 0.5, 1e-9);
  EXPECT_NEAR(join::worthwhile_checkpoints(100.0, 5.0), 2.0, 1e-9);
  EXPECT_NEAR(join::worthwhile_checkpoints(100.0, 2.5), 4.0, 1e-9);
  EXPECT_NEAR(join::worthwhile_checkpoints(100.0, 1.25), 4.0, 1e-9);
  EXPECT_NEAR(join::worthwhile_checkpoints(100.0, 0.1), 40.0, 1e-9);
  EXPECT_NEAR(join::worthwhile_checkpoints(100.0, 0.0), 4000.0, 1e-9);
}

// The first rows are everyone's nearest, so that nothing new is found after the first stripe.
TEST(JobResume, ACheckpointWritesOnlyWhatIsNew) {
  const Fixture fixture;
  JobOptions options = options_for(kLargeBudget);
  options.metric = Metric::kInnerProduct;
  options.top_k = 20;
  options.checkpoint_seconds = 0.0;
  TestMatrix matrix = random_matrix(kRows, 12, 3);
  for (std::uint64_t row = 0; row < kRows; ++row) matrix.values[row * 12] = row < 2 * options.top_k ? 1e6f : 10.0f;
  write_matrix(fixture.base, matrix);
  const JobReport report = run_job({fixture.base, ""}, fixture.folder / "out.knn", options);
  EXPECT_GE(report.plan.stripes_total, 5u);
  const std::uint64_t best_of_all_rows = kRows * options.top_k * sizeof(join::RunEntry);
  EXPECT_GT(report.bytes_checkpointed, best_of_all_rows);
  EXPECT_LT(report.bytes_checkpointed, best_of_all_rows * 9 / 4) << "final rows, and once what later rows have";
}

// More checkpoints than there are runs of candidates at once, by one process and by one after the other.
TEST(JobResume, JobsGoOnAfterManyCheckpoints) {
  const TempFolder folder;
  const JobInput input{folder / "a.emb", ""};
  const std::string out = folder / "out.knn";
  write_matrix(folder / "a.emb", random_matrix(36'000, 3, 4));  // stripes enough
  JobOptions options = options_for(kLargeBudget);
  options.top_k = 5;
  const JobReport whole = run_job(input, folder / "expected.knn", options);
  ASSERT_GT(whole.plan.stripes_total, plan::kSpillFanIn);
  options.checkpoint_seconds = 0.0;
  for (const double fraction : {0.1, 0.4, 0.98}) run_and_stop(input, out, options, fraction);
  EXPECT_GT(run_job(input, out, options).tiles_resumed, 0u);
  EXPECT_TRUE(read_bytes(out) == read_bytes(folder / "expected.knn"));
}

TEST(JobResume, AJournalHalfWrittenByAKilledProcessDoesNotKeepTheFolder) {
  const Fixture fixture;
  const std::string out = fixture.folder / "out.knn";
  const JobOptions options = options_for(kLargeBudget);
  for (const bool with_a_whole_one : {false, true}) {
    if (with_a_whole_one)
      run_and_stop({fixture.base, ""}, out, options, 0.3);
    else
      std::filesystem::create_directory(out + ".work");
    write_bytes(out + ".work/lock", "simtile work folder of process 1");
    write_bytes(out + ".work/journal.partial", "SIMT");
    const JobReport report = run_job({fixture.base, ""}, out, options);
    EXPECT_EQ(report.tiles_resumed > 0, with_a_whole_one);
    EXPECT_FALSE(std::filesystem::exists(out + ".work"));
  }
}

TEST(JobResume, FreshAndOtherJobsStartOver) {
  const Fixture fixture;
  const JobInput input{fixture.base, ""};
  const std::string out = fixture.folder / "out.knn";
  JobOptions options = options_for(kLargeBudget);
  run_and_stop(input, out, options, 0.5);
  options.top_k = 5;
  const JobReport other = run_job(input, out, options);
  EXPECT_EQ(other.tiles_resumed, 0u);
  EXPECT_TRUE(other.discarded_other_job);
  options = options_for(kLargeBudget);
  run_and_stop(input, out, options, 0.5);
  options.fresh = true;
  EXPECT_EQ(run_job(input, out, options).tiles_resumed, 0u);
}

// Every byte of what an interrupted job left, damaged: refused or without effect, never a wrong answer.
TEST(JobResume, DamagedRunsAndJournalsAreRefused) {
  const Fixture fixture;
  const JobInput input{fixture.base, ""};
  const std::string out = fixture.folder / "out.knn";
  JobOptions options = options_for(kLargeBudget);
  options.top_k = 5;
  run_job(input, out, options);
  const std::string expected = read_bytes(out);
  run_and_stop(input, out, options, 0.5);
  const std::string kept = fixture.folder / "kept.work";
  std::filesystem::copy(out + ".work", kept);
  int refused = 0;
  for (const auto& file : std::filesystem::directory_iterator(kept)) {
    const std::string name = file.path().filename().string();
    if (name == "lock") continue;
    const std::string bytes = read_bytes(file.path().string());
    for (std::size_t at = 0; at < bytes.size(); at += name == "journal" ? 1 : bytes.size() / 29 + 1) {
      std::filesystem::remove_all(out + ".work");
      std::filesystem::copy(kept, out + ".work");
      std::string damaged = bytes;
      damaged[at] = static_cast<char>(damaged[at] ^ 0x10);
      write_bytes(out + ".work/" + name, damaged);
      try {
        run_job(input, out, options);
        EXPECT_EQ(read_bytes(out), expected) << name << " byte " << at;
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), ErrorCode::kCorrupt) << error.what();
        ++refused;
      }
    }
  }
  EXPECT_GT(refused, 50);
}

TEST(JobResume, AMissingOrCutRunSaysToStartOver) {
  const Fixture fixture;
  const JobInput input{fixture.base, ""};
  const std::string out = fixture.folder / "out.knn";
  for (const bool missing : {true, false}) {
    run_and_stop(input, out, options_for(kLargeBudget), 0.5);
    for (const auto& file : std::filesystem::directory_iterator(out + ".work")) {
      if (file.path().extension() != ".run") continue;
      if (missing)
        std::filesystem::remove(file.path());
      else
        std::filesystem::resize_file(file.path(), std::filesystem::file_size(file.path()) - 1);
    }
    const std::string message =
        expect_error(ErrorCode::kCorrupt, [&] { run_job(input, out, options_for(kLargeBudget)); });
    EXPECT_NE(message.find("--fresh"), std::string::npos) << message;
    std::filesystem::remove_all(out + ".work");
  }
}

// The answer is written while later rows are still being scored: a disk that fills up stops the job in the middle. The
// work folder lies on the same disk: there is room for it only once the unfinished answer is gone.
TEST(JobResume, AnAnswerThatCannotBeWrittenLosesNoWork) {
  const Fixture fixture;
  const JobInput input{fixture.base, ""};
  const std::string out = fixture.folder / "out.knn";
  const JobReport whole = run_job(input, fixture.folder / "expected.knn", options_for(kLargeBudget));
  for (const os::Call call : {os::Call::kWrite, os::Call::kRename}) {
    static os::Call failing;
    static std::string unfinished_answer;
    failing = call;
    unfinished_answer = out + ".partial";
    os::set_fault_hook([](os::Call made, const char* path) -> os::Fault {
      const bool in_work_folder = std::string_view(path).find(".knn.work") != std::string_view::npos;
      const bool is_full = !in_work_folder || std::filesystem::exists(unfinished_answer);
      return {made == failing && is_full ? ENOSPC : 0};
    });
    expect_error(ErrorCode::kIo, [&] { run_job(input, out, options_for(kLargeBudget)); });
    os::set_fault_hook(nullptr);
    EXPECT_FALSE(std::filesystem::exists(out + ".partial"));
    EXPECT_FALSE(std::filesystem::exists(out));
    const JobReport report = run_job(input, out, options_for(kLargeBudget));
    EXPECT_GT(report.tiles_resumed, 0u);
    EXPECT_LT(report.pairs_scored, whole.pairs_scored);
    if (call == os::Call::kRename) {
      EXPECT_EQ(report.pairs_scored, 0u) << "only the answer was missing";
    }
    EXPECT_TRUE(read_bytes(out) == read_bytes(fixture.folder / "expected.knn"));
    std::filesystem::remove(out);
  }
}

TEST(JobResume, TwoJobsOnOneFolderAreRefusedWithTheFirstsProcess) {
  const Fixture fixture;
  const join::WorkFolder first(fixture.folder / "work", {1, kRows, kRows});
  try {
    const join::WorkFolder second(fixture.folder / "work", {1, kRows, kRows});
    FAIL() << "the folder was locked twice";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    EXPECT_NE(std::string(error.what()).find(std::to_string(::getpid())), std::string::npos) << error.what();
  }
}

// Files are removed by their names, which the user's own may have.
TEST(JobResume, AFolderOfTheUsersIsRefusedAndStaysAsItIs) {
  const Fixture fixture;
  JobOptions options = options_for(kLargeBudget);
  options.work_dir = fixture.folder / "mine";
  std::filesystem::create_directory(options.work_dir);
  const JobInput input{fixture.base, ""};
  const char* const names[] = {"lock", "journal", "7.run", "base.screen", "journal.partial"};
  for (const char* name : names) write_bytes(options.work_dir + "/" + name, "mine");
  for (const bool fresh : {false, true}) {
    options.fresh = fresh;
    const std::string message =
        expect_error(ErrorCode::kInvalidArgument, [&] { run_job(input, fixture.folder / "out.knn", options); });
    EXPECT_NE(message.find("--work-dir"), std::string::npos) << message;
  }
  for (const char* name : names) EXPECT_EQ(read_bytes(options.work_dir + "/" + name), "mine") << name;
}

// The folder may be simtile's, with a file of the user's among its own.
TEST(JobResume, AMatrixOrAnOutputAmongTheWorkFoldersFilesIsRefused) {
  const Fixture fixture;
  JobOptions options = options_for(kLargeBudget);
  options.work_dir = fixture.folder / "work";
  run_and_stop({fixture.base, ""}, fixture.folder / "out.knn", options, 0.3);
  const std::string matrix = options.work_dir + "/sample.emb";
  std::filesystem::copy_file(fixture.base, matrix);
  std::filesystem::create_directory_symlink(options.work_dir, fixture.folder / "link");
  const auto refused = [&](const std::string& input, const std::string& output) {
    const std::string message = expect_error(ErrorCode::kInvalidArgument, [&] {
      run_job({input, ""}, output, options);
    });
    EXPECT_NE(message.find("lies in the work folder"), std::string::npos) << message;
  };
  refused(matrix, fixture.folder / "out.knn");
  refused(fixture.folder / "link/sample.emb", fixture.folder / "out.knn");
  refused(fixture.base, options.work_dir + "/1.run");
  EXPECT_EQ(read_bytes(matrix), read_bytes(fixture.base));
  std::filesystem::remove(matrix);
  EXPECT_GT(run_job({fixture.base, ""}, fixture.folder / "out.knn", options).tiles_resumed, 0u);
  refused(fixture.base, options.work_dir + "/1.run");  // nor where there is no such folder yet
}

// A job that fails leaves the runs that its journal names, and no others to fill the disk.
TEST(JobResume, RunsThatNoJournalNamesGoWithTheJobThatFails) {
  const Fixture fixture;
  const std::string path = fixture.folder / "work";
  const join::RunScope scope{1, kRows, kRows};
  const auto write_run = [](join::WorkFolder& work) {
    join::RunWriter writer = work.begin_run();
    writer.append(join::RunEntry::of(3, topk::make_key(true, 0.5f, 4)));
    return writer.finish();
  };
  join::Checkpoint checkpoint;
  std::vector<join::RunInfo> merged;
  {
    join::WorkFolder work(path, scope);
    checkpoint.candidates = {write_run(work)};
    work.publish(checkpoint);
    merged = {checkpoint.candidates[0], write_run(work)};
    write_run(work);
    work.remove_unnamed(merged);
    EXPECT_TRUE(std::filesystem::exists(join::run_path(path, merged[0].serial))) << "the journal names it";
    EXPECT_FALSE(std::filesystem::exists(join::run_path(path, merged[1].serial)));
  }
  const auto runs = [&] {
    std::size_t count = 0;
    for (const auto& entry : std::filesystem::directory_iterator(path)) count += entry.path().extension() == ".run";
    return count;
  };
  EXPECT_EQ(runs(), 1u);
  // Who has not read the journal does not know which they are.
  { const join::WorkFolder work(path, scope); }
  { EXPECT_FALSE(join::WorkFolder(path, {2, kRows, kRows}).load().has_value()); }
  EXPECT_EQ(runs(), 1u);
  // A journal that could not be written, synced or renamed: the old one stays, and names none of the new runs.
  for (const os::Call failing : {os::Call::kWrite, os::Call::kSync, os::Call::kRename}) {
    static os::Call failing_call;
    failing_call = failing;
    join::WorkFolder work(path, scope);
    ASSERT_TRUE(work.load().has_value());
    checkpoint.candidates = {write_run(work)};
    os::set_fault_hook([](os::Call call, const char* file) -> os::Fault {
      const bool journal = std::string_view(file).find("/journal") != std::string_view::npos;
      return {.error = call == failing_call && journal ? ENOSPC : 0};
    });
    EXPECT_THROW(work.publish(checkpoint), Error);
    os::set_fault_hook(nullptr);
  }
  EXPECT_EQ(runs(), 1u);
  // A journal that was renamed before the call failed names the new run, another the old one.
  {
    join::WorkFolder work(path, scope);
    ASSERT_TRUE(work.load().has_value());
    checkpoint.candidates = {write_run(work)};
    os::set_fault_hook([](os::Call call, const char* file) -> os::Fault {
      const bool folder = call == os::Call::kSync && std::string_view(file).ends_with("/work");
      return {.error = folder ? EIO : 0};
    });
    EXPECT_THROW(work.publish(checkpoint), Error);
    os::set_fault_hook(nullptr);
  }
  join::WorkFolder work(path, scope);
  const std::optional<join::Checkpoint> left = work.load();
  ASSERT_TRUE(left.has_value());
  EXPECT_EQ(left->candidates[0].serial, checkpoint.candidates[0].serial);
  EXPECT_TRUE(std::filesystem::exists(join::run_path(path, left->candidates[0].serial)));
}

TEST(JobResume, FilesOfOtherNamesMayBeInTheWorkFolder) {
  const Fixture fixture;
  JobOptions options = options_for(kLargeBudget);
  options.work_dir = fixture.folder / "mine";
  std::filesystem::create_directory(options.work_dir);
  write_bytes(options.work_dir + "/notes.txt", "mine");
  run_and_stop({fixture.base, ""}, fixture.folder / "out.knn", options, 0.3);
  EXPECT_GT(run_job({fixture.base, ""}, fixture.folder / "out.knn", options).tiles_resumed, 0u);
  EXPECT_EQ(read_bytes(options.work_dir + "/notes.txt"), "mine");
  EXPECT_FALSE(std::filesystem::exists(options.work_dir + "/lock"));
}

// An empty one, one of shards, one with a journal and the lock of an earlier version.
TEST(JobResume, FoldersOfSimtilesAreTaken) {
  const Fixture fixture;
  const std::string path = fixture.folder / "work";
  std::filesystem::create_directory(path);
  { const join::WorkFolder work(path, {1, kRows, kRows}); }
  EXPECT_FALSE(std::filesystem::exists(path)) << "it is empty again, and goes";
  std::filesystem::create_directories(path + "/shard-1-of-2");
  write_bytes(path + "/lock", "");
  { join::WorkFolder(path, {1, kRows, kRows}).publish({}); }
  EXPECT_TRUE(std::filesystem::exists(path + "/shard-1-of-2"));
  write_bytes(path + "/lock", "1234");
  EXPECT_TRUE(join::WorkFolder(path, {1, kRows, kRows}).load().has_value());
}

}  // namespace
}  // namespace simtile::tests
