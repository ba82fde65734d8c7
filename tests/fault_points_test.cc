// Every system call on files fails in turn, or moves less than it was asked to. tests/faults does the like to the tool
// from outside; here the calls are those of the seam (os.h), which can also move a single byte.
#include <gmock/gmock.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <functional>
#include <map>
#include <set>

#include "engine/base/os.h"
#include "simtile/import.h"
#include "simtile/job.h"
#include "simtile/merge.h"
#include "tests/job_oracle.h"
#include "tests/test_files.h"

namespace simtile::tests {
namespace {

using os::Call;
using os::Fault;

// Each kind of call fails with them in turn; tests/faults gives a call each of its errors.
constexpr std::array kErrors{EIO, ENOSPC};

// Under a sanitizer, which takes its time, fewer of the points.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr std::uint64_t kStep = 3, kStepOfScreen = 15;  // odd, as calls may come in pairs
#else
constexpr std::uint64_t kStep = 1, kStepOfScreen = 7;
#endif

// What the hook does: it is a plain function, so its state is global.
std::atomic<std::uint64_t> g_calls{0};
std::uint64_t g_failing_call = 0;        // from 1
std::map<Call, std::size_t> g_failures;  // so far
Call g_failed = Call::kOpen;
std::string g_failed_path;

Fault fail_one_call(Call call, const char* path) {
  if (++g_calls != g_failing_call) return {};
  g_failed = call;
  g_failed_path = path;
  return {.error = kErrors[g_failures[call]++ % kErrors.size()]};
}

class Hook {
 public:
  explicit Hook(os::FaultHook hook) {
    g_calls = 0;
    os::set_fault_hook(hook);
  }
  ~Hook() { os::set_fault_hook(nullptr); }
};

class FaultPoints : public testing::Test {
 protected:
  using Work = std::function<void()>;

  FaultPoints() {
    write_matrix(base_, random_matrix(700, 32, 1));
    write_matrix(queries_, random_matrix(90, 32, 2));
    write_bytes(text_, lines_of_words(300));
  }

  static std::string lines_of_words(int lines) {
    std::string text;
    for (int i = 0; i < lines; ++i)
      text += "id-" + std::to_string(i) + "\tword" + std::to_string(i % 17) + " other" + std::to_string(i % 5) + "\n";
    return text;
  }

  static ImportOptions import_options() {
    ImportOptions options;
    options.text_hash_columns = 64;
    return options;
  }

  static JobOptions options() {
    JobOptions options;
    options.metric = Metric::kInnerProduct;
    options.top_k = 3;
    options.threads = 1;
    options.budget_bytes = std::uint64_t{1} << 30;
    options.checkpoint_seconds = 0.0;
    options.screen = ScreenUse::kOff;
    return options;
  }

  void join() const { run_job({base_, ""}, output_, options()); }

  void join_by_threads() const {
    JobOptions by_threads = options();
    by_threads.threads = 3;
    run_job({base_, ""}, output_, by_threads);
  }

  void join_with_screen() const {
    JobOptions screened = options();
    screened.screen = ScreenUse::kOn;
    run_job({base_, ""}, output_, screened);
  }

  void shards_and_merge() const {
    JobOptions shard = options();
    for (shard.shard = Shard{1, 2}; shard.shard->number <= 2; ++shard.shard->number)
      run_job({base_, ""}, output_, shard);
    merge_shards({base_, ""}, output_, options());
  }

  void search() const { run_job({base_, queries_}, output_, options()); }
  void import_text() const { import_matrix(text_, output_, import_options()); }

  struct NamedWork {
    std::string name;
    std::uint64_t step;  // of its calls each so manieth is made to fail
    Work work;
  };

  std::vector<NamedWork> works() const {
    return {{"import", kStep, [this] { import_text(); }},
            {"join", kStep, [this] { join(); }},
            {"join_by_threads", kStep, [this] { join_by_threads(); }},
            // It reads and writes piece by piece: 400 calls.
            {"join_with_screen", kStepOfScreen, [this] { join_with_screen(); }},
            {"shards_and_merge", 3 * kStep, [this] { shards_and_merge(); }},
            {"search", kStep, [this] { search(); }}};
  }

  // The bytes that the work ends in, without any fault; the output is then the older one again.
  std::string expected_bytes(const Work& work) const {
    work();
    std::string bytes = read_bytes(output_);
    std::filesystem::remove(output_);
    write_bytes(output_, kOlder);
    return bytes;
  }

  std::set<std::string> names() const {
    std::set<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(folder_ / "out"))
      names.insert(entry.path().filename().string());
    return names;
  }

  // A file that cannot be removed stays; so does one whose lock could not be had or was not certain, since it may be
  // another process's.
  static bool may_leave_a_temporary() {
    return g_failed == Call::kUnlink || g_failed == Call::kLock ||
           (g_failed == Call::kInspect && (g_failed_path.ends_with(".partial") || g_failed_path.ends_with("/lock")));
  }

  bool has_work_to_go_on_from() const {
    std::set<std::string> found;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder_ / "out/x.work"))
      found.insert(entry.path().filename().string());
    return found.contains("journal") && !found.contains("journal.partial");
  }

  void expect_good_order(const std::string& expected) const {
    const std::string now = read_bytes(output_);
    EXPECT_TRUE(now == kOlder || now == expected) << "the output is neither the old nor the new one";
    if (may_leave_a_temporary()) return;
    for (const std::string& name : names()) {
      EXPECT_TRUE(name == "x" || (name == "x.work" && has_work_to_go_on_from())) << "left behind: " << name;
    }
  }

  static constexpr const char* kOlder = "an older output";
  const TempFolder folder_;
  const std::string base_ = folder_ / "base.emb", queries_ = folder_ / "queries.emb", text_ = folder_ / "lines.txt";
  const bool made_ = std::filesystem::create_directory(folder_ / "out");
  const std::string output_ = folder_ / "out/x";
};

TEST_F(FaultPoints, EachCallFailsInTurnAndTheNextRunFinishes) {
  for (const auto& [name, step, work] : works()) {
    const std::string expected = expected_bytes(work);
    std::uint64_t points = 0;
    for (bool reached = true; reached; points += reached) {
      g_failing_call = 1 + points * step;
      SCOPED_TRACE(name + ", error at call " + std::to_string(g_failing_call));
      try {
        const Hook hook(fail_one_call);
        work();
        reached = g_calls >= g_failing_call;
        EXPECT_TRUE(read_bytes(output_) == expected);
      } catch (const Error& failure) {
        EXPECT_EQ(failure.code(), ErrorCode::kIo) << failure.what();
        SCOPED_TRACE(failure.what());
        expect_good_order(expected);
      }
      work();
      ASSERT_TRUE(read_bytes(output_) == expected) << "the next run gives other bytes";
      ASSERT_EQ(names(), std::set<std::string>{"x"}) << "the next run leaves something";
      write_bytes(output_, kOlder);
    }
    EXPECT_GT(points * kStep, 20u);
    RecordProperty(name + "_points", std::to_string(points));
  }
}

TEST_F(FaultPoints, InterruptedCallsAreMadeAgain) {
  for (const auto& [name, step, work] : works()) {
    SCOPED_TRACE(name);
    const std::string expected = expected_bytes(work);
    // mmap alone is never interrupted.
    const Hook hook([](Call call, const char*) -> Fault {
      return {.error = call != Call::kMap && ++g_calls % 2 == 1 ? EINTR : 0};
    });
    work();
    EXPECT_TRUE(read_bytes(output_) == expected);
  }
}

TEST_F(FaultPoints, CallsThatMoveLessThanAskedGoOnWithTheRest) {
  for (const auto& [name, step, work] : works()) {
    SCOPED_TRACE(name);
    const std::string expected = expected_bytes(work);
    {
      const Hook hook([](Call, const char*) -> Fault { return {.max_bytes = 1}; });
      work();
      EXPECT_TRUE(read_bytes(output_) == expected) << "a byte at a time";
    }
    const Hook hook([](Call, const char*) -> Fault { return {.max_bytes = 1 + (++g_calls * 977) % 1000}; });
    work();
    EXPECT_TRUE(read_bytes(output_) == expected) << "some bytes at a time";
  }
}

// A folder that cannot be read is not an empty one: a run written over one that the journal names would be lost.
TEST_F(FaultPoints, AJournalThatCannotBeAskedAboutIsNotAMissingOne) {
  std::atomic<bool> stop{false};
  JobOptions stopping = options();
  stopping.stop = &stop;
  stopping.progress = [&](const JobProgress& progress) { stop = progress.rows_done > 0; };
  expect_error(ErrorCode::kInterrupted, [&] { run_job({base_, ""}, output_, stopping); });
  const std::string journal = read_bytes(output_ + ".work/journal");
  ASSERT_FALSE(journal.empty());
  for (const Call call : {Call::kInspect, Call::kList}) {
    static Call failing;
    failing = call;
    const Hook hook([](Call made, const char* path) -> Fault {
      return {.error = made == failing && std::string_view(path).find(".work") != std::string_view::npos ? EIO : 0};
    });
    expect_error(ErrorCode::kIo, [&] { run_job({base_, ""}, output_, options()); });
    EXPECT_TRUE(read_bytes(output_ + ".work/journal") == journal) << "what was put by is lost";
  }
  EXPECT_GT(run_job({base_, ""}, output_, options()).tiles_resumed, 0u);
}

// The kernel tells once of what it could not write: a second sync that succeeds says nothing.
TEST_F(FaultPoints, ARunWhoseSyncFailedIsNamedByNoJournal) {
  static bool failed;
  static std::uint64_t runs_synced;
  static std::string journal_when_it_failed;
  write_matrix(base_, random_matrix(5000, 8, 4));  // checkpoints enough
  const std::string expected = expected_bytes([this] { join(); });
  static std::string journal_path;
  journal_path = output_ + ".work/journal";
  failed = false;
  runs_synced = 0;
  {
    const Hook hook([](Call call, const char* path) -> Fault {
      if (call != Call::kSync || !std::string_view(path).ends_with(".run") || ++runs_synced < 3 || failed) return {};
      failed = true;
      journal_when_it_failed = read_bytes(journal_path);
      return {.error = EIO};
    });
    expect_error(ErrorCode::kIo, [&] { join(); });
  }
  ASSERT_TRUE(failed);
  ASSERT_FALSE(journal_when_it_failed.empty());
  EXPECT_TRUE(read_bytes(journal_path) == journal_when_it_failed);
  EXPECT_GT(run_job({base_, ""}, output_, options()).tiles_resumed, 0u);
  EXPECT_TRUE(read_bytes(output_) == expected);
}

}  // namespace
}  // namespace simtile::tests
