// Bounds that are guessed from a sample save work and change no byte, even where they are wrong. Shards never guess:
// what they come to is what a job with guesses is compared with.
#include "engine/join/guessed_bounds.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cmath>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/os.h"
#include "engine/kernels/tile_kernel.h"
#include "engine/plan/sample.h"
#include "simtile/error.h"
#include "simtile/job.h"
#include "simtile/merge.h"
#include "tests/job_oracle.h"
#include "tests/test_files.h"

namespace simtile::tests {
namespace {

// Under a sanitizer, which takes its time, less of the same; and no state on disk, since a budget with room for the
// process to grow holds all of it.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr std::array kMetrics{Metric::kCosine};
constexpr std::array kIsas{Isa::kAuto};
constexpr std::uint64_t kPlannedRows = 9000;
constexpr std::uint64_t kTilesBetweenStops = 18;
constexpr std::size_t kContinued = 1;
constexpr std::array kResident{true};
#else
constexpr std::array kMetrics{Metric::kCosine, Metric::kInnerProduct, Metric::kL2};
constexpr std::array kIsas{Isa::kScalar, Isa::kAvx2, Isa::kAvx512};
constexpr std::uint64_t kPlannedRows = 30'000;
constexpr std::uint64_t kTilesBetweenStops = 2;
constexpr std::size_t kContinued = 5;
constexpr std::array kResident{true, false};
#endif

constexpr std::uint64_t kRows = 8300;
constexpr std::uint64_t kTopK = 40;
constexpr std::uint64_t kLargeBudget = std::uint64_t{4} << 30;

JobOptions options_for(Metric metric) {
  JobOptions options;
  options.metric = metric;
  options.top_k = kTopK;
  options.budget_bytes = kLargeBudget;
  options.threads = 2;
  options.screen = ScreenUse::kOff;
  options.checkpoint_seconds = 1e9;
  return options;
}

constexpr std::uint64_t kSpareBytes = std::uint64_t{1} << 20;

// Little more than the least, for the process as it is now: a self-join's state goes to disk.
std::uint64_t small_budget(const JobInput& input, JobOptions options) {
  options.budget_bytes = 1 << 20;
  return plan_job_at_least(input, options).smallest_budget_bytes + kSpareBytes + kKeptBytes;
}

class GuessedBounds : public testing::Test {
 protected:
  std::string answer_without_guesses(const JobInput& input, JobOptions options) const {
    const std::string out = folder_ / "expected.knn";
    for (const std::uint32_t number : {1u, 2u}) {
      options.shard = Shard{number, 2};
      EXPECT_EQ(run_job(input, out, options).plan.sample_rows, 0u);
    }
    options.shard.reset();
    merge_shards(input, out, options);
    return read_bytes(out);
  }

  // With a state in memory and on disk, and with none of rows that wait. Returns the rows that were searched again.
  std::uint64_t expect_same_bytes(const JobInput& input, JobOptions options) const {
    const std::string expected = answer_without_guesses(input, options);
    std::uint64_t searched_again = 0;
    for (const bool resident : kResident) {
      for (const PairScoring pairs : {PairScoring::kOnce, PairScoring::kTwice}) {
        if (pairs == PairScoring::kTwice && (resident || !input.queries_path.empty())) continue;
        options.pairs = pairs;
        options.budget_bytes = resident ? kLargeBudget : small_budget(input, options);
        const JobReport report = run_job(input, out_, options);
        EXPECT_NE(report.plan.sample_rows, 0u);
        EXPECT_EQ(report.plan.spills, !resident && input.queries_path.empty() && pairs == PairScoring::kOnce);
        EXPECT_TRUE(read_bytes(out_) == expected) << "within " << options.budget_bytes << ' ' << to_string(pairs);
        searched_again += report.rows_searched_again;
      }
    }
    return searched_again;
  }

  TempFolder folder_;
  std::string matrix_ = folder_ / "a.emb", queries_ = folder_ / "q.emb", out_ = folder_ / "out.knn";
};

TEST(SampledRows, AreThoseOfTheSameNumbersAndNotOfOthers) {
  const std::vector<std::uint64_t> rows = join::sampled_rows(1000, 100);
  EXPECT_EQ(rows.size(), 100u);
  EXPECT_TRUE(std::is_sorted(rows.begin(), rows.end()));
  EXPECT_TRUE(std::adjacent_find(rows.begin(), rows.end()) == rows.end());
  EXPECT_LT(rows.back(), 1000u);
  EXPECT_EQ(rows, join::sampled_rows(1000, 100));
  EXPECT_NE(rows, join::sampled_rows(1001, 100));
  EXPECT_EQ(join::sampled_rows(7, 7).back(), 6u);
}

// Of 200,000 rows that want 50, a guess by the r-th best of the sample fails for one in a million: the tail of the
// binomial distribution, by another way of summing it.
TEST(Sample, ItsRankIsSafe) {
  plan::Shapes shapes;
  shapes.query_rows = shapes.base_rows = 200'000;
  shapes.dims = 256;
  shapes.self_join = true;
  shapes.top_k = 50;
  shapes.rounded_floats = 128;
  const plan::Sample sample = plan::choose_sample(shapes);
  ASSERT_TRUE(sample.in_use());
  EXPECT_LT(sample.rows, shapes.base_rows / 16);
  const double mean = 50.0 * static_cast<double>(sample.rows) / 200'000.0;
  const auto tail = [&](std::uint64_t rank) {
    double sum = 0.0;
    for (std::uint64_t found = rank; found < rank + 60; ++found)
      sum += std::exp(static_cast<double>(found) * std::log(mean) - mean - std::lgamma(static_cast<double>(found) + 1));
    return sum;
  };
  EXPECT_LT(tail(sample.rank), 1.01e-6);
  EXPECT_GT(tail(sample.rank - 1), 0.99e-6);

  // Where none of so many is next to impossible, its probability is no number to begin a sum with.
  shapes.query_rows = shapes.base_rows = 100'000;
  for (shapes.top_k = 3000; shapes.top_k < 6200; shapes.top_k += 37) {
    const plan::Sample large = plan::choose_sample(shapes);
    if (!large.in_use()) continue;
    const double expected = static_cast<double>(shapes.top_k * large.rows) / 100'000.0;
    EXPECT_GT(static_cast<double>(large.rank), expected + 4.2 * std::sqrt(expected)) << shapes.top_k;
  }
}

TEST_F(GuessedBounds, ChangeNoByteOfASelfJoin) {
  write_matrix(matrix_, random_matrix(kRows, 20, 1));
  for (const Metric metric : kMetrics)
    EXPECT_EQ(expect_same_bytes({matrix_, ""}, options_for(metric)), 0u) << static_cast<int>(metric);
}

TEST_F(GuessedBounds, NorOnAnyInstructionSet) {
  write_matrix(matrix_, random_matrix(kRows, 16, 1));
  for (const Isa isa : kIsas) {
    if (isa != Isa::kAuto && !kernels::is_supported(isa)) continue;
    JobOptions options = options_for(Metric::kCosine);
    options.isa = isa;
    expect_same_bytes({matrix_, ""}, options);
  }
}

TEST_F(GuessedBounds, NorOfASearch) {
  write_matrix(matrix_, random_matrix(kRows + 4000, 20, 1));
  write_matrix(queries_, random_matrix(2000, 20, 2));
  for (const Metric metric : kMetrics) {
    JobOptions options = options_for(metric);
    options.top_k = 100;
    expect_same_bytes({matrix_, queries_}, options);
  }
}

// Most rows have fewer neighbours that are good enough than are wanted.
TEST_F(GuessedBounds, NorWithAMinimumScore) {
  write_matrix(matrix_, random_matrix(kRows, 20, 1));
  JobOptions options = options_for(Metric::kCosine);
  options.min_score = 0.62f;
  expect_same_bytes({matrix_, ""}, options);
}

// Makes rows of the sample copies of row 7: more than their guesses' rank can be, fewer than are wanted. With stripes
// of so many rows, those of every other stripe alone.
void crowd_sample(TestMatrix& matrix, std::uint64_t sample_rows, float scale, std::uint64_t stripe_rows = kRows) {
  std::vector<std::uint64_t> sampled = join::sampled_rows(kRows, sample_rows);
  std::erase_if(sampled, [&](std::uint64_t row) { return row / stripe_rows % 2 != 0; });
  for (std::uint64_t i = 0; i < kTopK - 2; ++i) {
    float* copy = matrix.values.data() + sampled[i * sampled.size() / kTopK] * matrix.columns;
    for (std::uint64_t c = 0; c < matrix.columns; ++c) copy[c] = scale * matrix.row(7)[c];
  }
}

// Where a row's nearest are in the sample, its guess lets hardly any other in.
TEST_F(GuessedBounds, ARowWhoseGuessIsTooTightIsSearchedAgain) {
  for (const Metric metric : kMetrics) {
    TestMatrix matrix = random_matrix(kRows, 20, 1);
    write_matrix(matrix_, matrix);
    JobOptions options = options_for(metric);
    const JobPlan plan = plan_job({matrix_, ""}, options);
    ASSERT_NE(plan.sample_rows, 0u);
    crowd_sample(matrix, plan.sample_rows, 20.0f);
    write_matrix(matrix_, matrix);
    EXPECT_GE(expect_same_bytes({matrix_, ""}, options), 2u) << static_cast<int>(metric);
  }
}

TEST_F(GuessedBounds, SoAreRowsOfSeveralFields) {
  const std::string text = folder_ / "text.emb", image = folder_ / "image.emb";
  TestMatrix of_text = random_matrix(kRows, 20, 1, 0.7), of_image = random_matrix(kRows, 20, 2);
  write_sparse_matrix(text, of_text);
  write_matrix(image, of_image);
  JobInput input;
  input.fields = {{"text", text, "", 0.7f}, {"image", image, "", 0.3f}};
  const JobOptions options = options_for(Metric::kCosine);
  const JobPlan plan = plan_job(input, options);
  ASSERT_NE(plan.sample_rows, 0u);
  for (TestMatrix* matrix : {&of_text, &of_image}) crowd_sample(*matrix, plan.sample_rows, 1.0f);
  write_sparse_matrix(text, of_text);
  write_matrix(image, of_image);
  EXPECT_GE(expect_same_bytes(input, options), 2u);
}

TEST_F(GuessedBounds, SparseRowsToo) {
  const TestMatrix matrix = random_matrix(kRows, 30, 1, 0.8);
  write_sparse_matrix(matrix_, matrix);
  for (const Metric metric : kMetrics) expect_same_bytes({matrix_, ""}, options_for(metric));
}

// While a row is searched again, too: a part of what it finds must not pass for all.
TEST_F(GuessedBounds, AJobMayBeStoppedAtAnyTile) {
  TestMatrix matrix = random_matrix(kRows, 20, 1);
  write_matrix(matrix_, matrix);
  const JobInput input{matrix_, ""};
  JobOptions options = options_for(Metric::kCosine);
  crowd_sample(matrix, plan_job(input, options).sample_rows, 1.0f);
  write_matrix(matrix_, matrix);
  const std::string expected = answer_without_guesses(input, options);
  // The last tiles are all in flight when the job hears of it.
  const std::uint64_t last = plan_job(input, options).tiles_total - 8;
  ASSERT_GT(last, 8u);
  for (std::uint64_t stop_at = 1; stop_at < last; stop_at += kTilesBetweenStops) {
    std::atomic<bool> stop{false};
    std::uint64_t tiles = 0;
    JobOptions stopped = options;
    stopped.threads = 1;
    stopped.stop = &stop;
    stopped.progress = [&](const JobProgress&) { stop = ++tiles >= stop_at; };
    expect_error(ErrorCode::kInterrupted, [&] { run_job(input, out_, stopped); });
    run_job(input, out_, options);
    EXPECT_TRUE(read_bytes(out_) == expected) << "stopped at tile " << stop_at;
  }
}

// A stripe whose rows are all complete is not done before the one ahead of it, one of whose rows is not.
TEST_F(GuessedBounds, AStopWhileARowIsSearchedAgainHoldsBackTheStripesBehind) {
  TestMatrix matrix = random_matrix(kRows, 20, 1);
  write_matrix(matrix_, matrix);
  const JobInput input{matrix_, ""};
  JobOptions options = options_for(Metric::kCosine);
  const JobPlan plan = plan_job(input, options);
  crowd_sample(matrix, plan.sample_rows, 1.0f, plan.stripe_rows);
  write_matrix(matrix_, matrix);
  const std::string expected = answer_without_guesses(input, options);
  for (std::uint64_t stop_at = 1; stop_at < plan.tiles_total; stop_at += kTilesBetweenStops / 2) {
    std::atomic<bool> stop{false};
    std::uint64_t tiles = 0;
    JobOptions stopped = options;
    stopped.stop = &stop;
    stopped.progress = [&](const JobProgress&) { stop = ++tiles >= stop_at; };
    try {
      run_job(input, out_, stopped);  // the last tiles are all in flight when it hears of it
    } catch (const Error& error) {
      ASSERT_EQ(error.code(), ErrorCode::kInterrupted) << error.what();
    }
    run_job(input, out_, options);
    EXPECT_TRUE(read_bytes(out_) == expected) << "stopped at tile " << stop_at;
  }
}

// What an earlier process found was found with its bounds, or without.
TEST_F(GuessedBounds, AJobGoesOnWithTheBoundsItBeganWith) {
  write_matrix(matrix_, random_matrix(kRows, 32, 1));
  const JobInput input{matrix_, ""};
  JobOptions with = options_for(Metric::kCosine), screened = with, scalar = with, small = with, least = with;
  screened.screen = ScreenUse::kOn;
  scalar.isa = Isa::kScalar;
  constexpr std::uint64_t kSmall = 1, kLeast = 2;
  small.budget_bytes = kSmall;
  least.budget_bytes = kLeast;
  const std::string expected = answer_without_guesses(input, with);
  const std::array continued{small, with, screened, scalar, least};
  const auto run = [&](JobOptions options, const std::atomic<bool>* stop) {
    options.stop = stop;
    if (options.budget_bytes == kSmall) options.budget_bytes = small_budget(input, with);
    if (options.budget_bytes == kLeast) options.budget_bytes = small_budget(input, with) - kSpareBytes;
    return run_job(input, out_, options);
  };
  for (const JobOptions& first : {with, small, screened})
    for (const JobOptions& then : std::span(continued).first(kContinued)) {
      std::atomic<bool> stop{false};
      JobOptions stopped = first;
      stopped.threads = 1;
      stopped.progress = [&](const JobProgress& progress) { stop = progress.fraction_done > 0.4; };
      expect_error(ErrorCode::kInterrupted, [&] { run(stopped, &stop); });
      EXPECT_NE(run(then, nullptr).tiles_resumed, 0u);
      EXPECT_TRUE(read_bytes(out_) == expected);
    }
}

os::Fault no_room_for_samples(os::Call call, const char* path) {
  const bool is_sample = std::string_view(path).ends_with("/sample.emb.partial");
  return {.error = is_sample && call == os::Call::kWrite ? ENOSPC : 0};
}

// The disk may be large enough for the answer alone.
TEST_F(GuessedBounds, AJobGoesWithoutASampleThatCannotBeWritten) {
  write_matrix(matrix_, random_matrix(kRows, 20, 1));
  const JobOptions options = options_for(Metric::kCosine);
  const std::string expected = answer_without_guesses({matrix_, ""}, options);
  os::set_fault_hook(no_room_for_samples);
  const JobReport report = run_job({matrix_, ""}, out_, options);
  os::set_fault_hook(nullptr);
  EXPECT_EQ(report.plan.sample_rows, 0u);
  EXPECT_TRUE(read_bytes(out_) == expected);
  EXPECT_FALSE(std::filesystem::exists(out_ + ".work"));
}

TEST_F(GuessedBounds, AJournalWithASampleThatCannotBeIsRefused) {
  const join::RunScope scope{.job_identity = 1, .rows = 100, .base_rows = 100};
  const auto loaded = [&](const plan::Sample& sample) {
    join::WorkFolder folder(folder_ / "work", scope);
    join::Checkpoint checkpoint;
    checkpoint.sample = sample;
    folder.publish(checkpoint);
    return folder.load();
  };
  EXPECT_EQ(loaded({100, 7})->sample, (plan::Sample{100, 7}));
  for (const plan::Sample wrong : {plan::Sample{101, 7}, {UINT64_MAX, 7}, {10, 11}, {10, 0}, {0, 1}})
    expect_error(ErrorCode::kCorrupt, [&] { loaded(wrong); });
}

TEST_F(GuessedBounds, ThePlanForetellsWhatIsRead) {
  write_matrix(matrix_, random_matrix(kPlannedRows, 64, 1));
  JobOptions options = options_for(Metric::kInnerProduct);
  for (const bool resident : {true, false}) {
    options.budget_bytes = resident ? kLargeBudget : small_budget({matrix_, ""}, options) + kSpareBytes;
    const JobPlan plan = plan_job({matrix_, ""}, options);
    const JobReport report = run_job({matrix_, ""}, out_, options);
    ASSERT_NE(report.plan.sample_rows, 0u);
    const auto read = static_cast<double>(report.bytes_read);
    EXPECT_NEAR(static_cast<double>(plan.bytes_read) / read, 1.0, 0.05);
  }
}

}  // namespace
}  // namespace simtile::tests
