// The screen: files, bounds, and above all that the answer with it is the answer without it, to the byte.
#include "simtile/screen.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>

#include "engine/kernels/tile_kernel.h"
#include "engine/screen/basis.h"
#include "engine/screen/orthonormalize.h"
#include "engine/screen/prediction.h"
#include "engine/screen/projection.h"
#include "engine/screen/screen_margin.h"
#include "simtile/error.h"
#include "simtile/job.h"
#include "tests/job_oracle.h"
#include "tests/test_files.h"

namespace simtile::tests {
namespace {

// The scalar kernel takes minutes for as many under a sanitizer.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr std::uint64_t kRowsOfEachKind = 200;
#else
constexpr std::uint64_t kRowsOfEachKind = 900;
#endif

const std::vector<Metric> kMetrics = {Metric::kCosine, Metric::kInnerProduct, Metric::kL2};

// Matrices that a screen could go wrong on.
enum class Kind {
  kGaussian,      // with copies and zero rows
  kLowRank,       // a few directions and a little noise: what a screen is for
  kNearTies,      // copies of a few rows, one value moved by a unit in the last place
  kManyScales,    // norms over twenty orders of magnitude
  kHuge,          // products near the end of binary32
  kTiny,          // products that underflow
  kOneDirection,  // all rows nearly parallel, far from the origin
  kConstant,      // most columns the same in all rows
  kBytes,         // small integers: exact ties
  kClusters,      // tight ones
};
const std::vector<Kind> kKinds = {Kind::kGaussian, Kind::kLowRank, Kind::kNearTies,     Kind::kManyScales,
                                  Kind::kHuge,     Kind::kTiny,    Kind::kOneDirection, Kind::kConstant,
                                  Kind::kBytes,    Kind::kClusters};

TestMatrix make_matrix(Kind kind, std::uint64_t rows, std::uint64_t columns, unsigned seed) {
  TestMatrix matrix = random_matrix(rows, columns, seed);
  std::mt19937 random(seed + 1);
  std::normal_distribution<float> normal;
  std::uniform_real_distribution<float> uniform;
  const auto row = [&](std::uint64_t r) { return matrix.values.data() + r * columns; };
  const auto from_prototypes = [&](std::uint64_t prototypes, float noise) {
    const TestMatrix centres = random_matrix(prototypes, columns, seed + 2);
    for (std::uint64_t r = 0; r < rows; ++r)
      for (std::uint64_t c = 0; c < columns; ++c)
        row(r)[c] = centres.row(r * 7 % prototypes)[c] + noise * normal(random);
  };
  switch (kind) {
    case Kind::kGaussian: break;
    case Kind::kLowRank: {
      const TestMatrix directions = random_matrix(6, columns, seed + 2);
      for (std::uint64_t r = 0; r < rows; ++r) {
        for (std::uint64_t c = 0; c < columns; ++c) row(r)[c] = 0.05f * normal(random);
        for (std::uint64_t d = 0; d < directions.rows; ++d) {
          const float share = normal(random);
          for (std::uint64_t c = 0; c < columns; ++c) row(r)[c] += share * directions.row(d)[c];
        }
      }
      break;
    }
    case Kind::kNearTies:
      from_prototypes(9, 0.0f);
      for (std::uint64_t r = 0; r < rows; ++r) {
        float& value = row(r)[random() % columns];
        value = std::nextafter(value, r % 2 == 0 ? 1e9f : -1e9f);
      }
      break;
    case Kind::kManyScales:
      for (std::uint64_t r = 0; r < rows; ++r) {
        const float scale = std::pow(10.0f, 20.0f * uniform(random) - 10.0f);
        for (std::uint64_t c = 0; c < columns; ++c) row(r)[c] *= scale;
      }
      break;
    case Kind::kHuge:
      for (float& value : matrix.values) value *= 3e17f;
      break;
    case Kind::kTiny:
      for (float& value : matrix.values) value *= 1e-21f;
      break;
    case Kind::kOneDirection:
      for (float& value : matrix.values) value = 100.0f + 0.01f * value;
      break;
    case Kind::kConstant:
      for (std::uint64_t r = 0; r < rows; ++r)
        for (std::uint64_t c = 3; c < columns; ++c) row(r)[c] = static_cast<float>(c % 3);
      break;
    case Kind::kBytes:
      for (float& value : matrix.values) value = std::floor(std::fabs(value) * 3.0f);
      break;
    case Kind::kClusters: from_prototypes(12, 0.02f); break;
  }
  return matrix;
}

JobOptions options_for(Metric metric, std::uint64_t top_k, ScreenUse screen) {
  JobOptions options;
  options.metric = metric;
  options.top_k = top_k;
  options.budget_bytes = std::uint64_t{1} << 30;
  options.threads = 2;
  options.screen = screen;
  return options;
}

// The report of the screened job; fails when its bytes are not the plain job's.
JobReport compare_with_plain(const TempFolder& folder, const JobInput& input, JobOptions options) {
  options.screen = ScreenUse::kOff;
  run_job(input, folder / "plain.knn", options);
  options.screen = ScreenUse::kOn;
  const JobReport report = run_job(input, folder / "screened.knn", options);
  EXPECT_EQ(read_bytes(folder / "screened.knn"), read_bytes(folder / "plain.knn"));
  EXPECT_FALSE(std::filesystem::exists(folder / "screened.knn.work"));
  return report;
}

RC_GTEST_PROP(Screen, TheAnswerIsTheSameOnAnyMatrix, ()) {
  const Kind kind = *rc::gen::elementOf(kKinds);
  const auto rows = *rc::gen::inRange<std::uint64_t>(64, 700);
  const auto columns = *rc::gen::inRange<std::uint64_t>(32, 150);
  const auto seed = *rc::gen::inRange<unsigned>(0, 1000000);
  const auto top_k = *rc::gen::inRange<std::uint64_t>(1, 40);
  const Metric metric = *rc::gen::elementOf(kMetrics);
  const TempFolder folder;
  write_matrix(folder / "a.emb", make_matrix(kind, rows, columns, seed));
  JobOptions options = options_for(metric, top_k, ScreenUse::kOn);
  options.threads = 1 + seed % 3;
  compare_with_plain(folder, {folder / "a.emb", ""}, options);
  if (rows > 128) {
    write_matrix(folder / "q.emb", make_matrix(kind, 65 + seed % 60, columns, seed + 9));
    compare_with_plain(folder, {folder / "a.emb", folder / "q.emb"}, options);
  }
  RC_ASSERT(!testing::Test::HasFailure());
}

TEST(Screen, EveryKindOfMatrixMetricAndKernelGivesTheSameBytes) {
  const TempFolder folder;
  for (const Kind kind : kKinds) {
    write_matrix(folder / "a.emb", make_matrix(kind, kRowsOfEachKind, 70, 5));
    for (const Metric metric : kMetrics) {
      const bool too_long_or_short = kind == Kind::kHuge || kind == Kind::kTiny;
      for (const Isa isa : {Isa::kAuto, Isa::kScalar, Isa::kAvx2, Isa::kAvx512}) {
        if (!kernels::is_supported(isa)) continue;
        JobOptions options = options_for(metric, 12, ScreenUse::kOn);
        options.isa = isa;
        const JobReport report = compare_with_plain(folder, {folder / "a.emb", ""}, options);
        EXPECT_EQ(report.screened, !too_long_or_short) << static_cast<int>(kind);
      }
    }
  }
}

TEST(Screen, ElementTypesGiveTheSameBytes) {
  const TempFolder folder;
  for (const ElementType type : {ElementType::kF16, ElementType::kBF16, ElementType::kI8, ElementType::kU8}) {
    const Kind kind = type == ElementType::kU8 ? Kind::kBytes : Kind::kLowRank;
    write_matrix(folder / "a.emb", make_matrix(kind, 600, 64, 6), type);
    for (const Metric metric : kMetrics)
      EXPECT_TRUE(compare_with_plain(folder, {folder / "a.emb", ""}, options_for(metric, 9, ScreenUse::kOn)).screened);
  }
}

TEST(Screen, FewPairsAreLeftWhereRowsHaveStructure) {
  const TempFolder folder;
  write_matrix(folder / "a.emb", make_matrix(Kind::kLowRank, 3000, 96, 7));
  for (const Metric metric : {Metric::kCosine, Metric::kL2}) {
    const JobReport report = compare_with_plain(folder, {folder / "a.emb", ""}, options_for(metric, 5, ScreenUse::kOn));
    EXPECT_TRUE(report.screened);
    EXPECT_GE(report.pairs_left_first, report.pairs_left_next);
    EXPECT_GE(report.pairs_left_next, report.pairs_by_definition);
    EXPECT_LT(report.pairs_by_definition, report.pairs_scored / 20);
  }
}

// A tile within a longer stripe has some of its rows, in the stripe's order.
TEST(Screen, TilesWithinAStripeMeetEachPairOnce) {
  const TempFolder folder;
  write_matrix(folder / "a.emb", make_matrix(Kind::kLowRank, 17000, 32, 18));
  for (const Metric metric : {Metric::kCosine, Metric::kL2}) {
    const JobReport report = compare_with_plain(folder, {folder / "a.emb", ""}, options_for(metric, 5, ScreenUse::kOn));
    EXPECT_TRUE(report.screened);
    EXPECT_GT(report.plan.stripe_rows, 2 * report.plan.tile_columns) << "no tile lies within a stripe any more";
  }
}

// Rows sorted by cluster: tiles far from a stripe's rows are dropped as a whole.
TEST(Screen, TilesFarApartAreDroppedAtOnce) {
  const TempFolder folder;
  TestMatrix matrix{6000, 48, std::vector<float>(6000 * 48)};
  const TestMatrix centres = random_matrix(6, 48, 16);
  std::mt19937 random(17);
  std::normal_distribution<float> normal;
  for (std::uint64_t r = 0; r < matrix.rows; ++r)
    for (std::uint64_t c = 0; c < matrix.columns; ++c)
      matrix.values[r * matrix.columns + c] = 5.0f * centres.row(r / 1000)[c] + 0.05f * normal(random);
  write_matrix(folder / "a.emb", matrix);
  for (const Metric metric : {Metric::kCosine, Metric::kL2}) {
    const JobReport report = compare_with_plain(folder, {folder / "a.emb", ""}, options_for(metric, 5, ScreenUse::kOn));
    EXPECT_GT(report.pairs_dropped_by_tile, report.pairs_scored / 3) << to_string(metric);
  }
}

TEST(Screen, BudgetsAndMinimumScoresGiveTheSameBytes) {
  const TempFolder folder;
  write_matrix(folder / "a.emb", make_matrix(Kind::kClusters, 2500, 64, 8));
  JobOptions options = options_for(Metric::kCosine, 40, ScreenUse::kOff);
  options.budget_bytes = 1 << 20;
  const std::uint64_t smallest = plan_job_at_least({folder / "a.emb", ""}, options).smallest_budget_bytes;
  for (const std::uint64_t more : {6u, 9u, 14u, 200u}) {
    options.budget_bytes = smallest + (more << 20) + kKeptBytes;
    compare_with_plain(folder, {folder / "a.emb", ""}, options);
  }
  options.budget_bytes = std::uint64_t{1} << 30;
  options.min_score = 0.9f;
  compare_with_plain(folder, {folder / "a.emb", ""}, options);
}

TEST(Screen, AnInterruptedJobGoesOnWithOrWithoutIt) {
  const TempFolder folder;
  write_matrix(folder / "a.emb", make_matrix(Kind::kLowRank, 6000, 48, 9));
  JobOptions options = options_for(Metric::kL2, 6, ScreenUse::kOff);
  options.checkpoint_seconds = 0.0;
  run_job({folder / "a.emb", ""}, folder / "plain.knn", options);
  for (const auto& [first, second] : {std::pair{ScreenUse::kOn, ScreenUse::kOff},
                                      {ScreenUse::kOff, ScreenUse::kOn},
                                      {ScreenUse::kOn, ScreenUse::kOn}}) {
    std::atomic<bool> stop{false};
    options.stop = &stop;
    options.screen = first;
    options.progress = [&](const JobProgress& progress) { stop = progress.fraction_done > 0.2; };
    EXPECT_THROW(run_job({folder / "a.emb", ""}, folder / "a.knn", options), Error);
    options.stop = nullptr;
    options.progress = nullptr;
    options.screen = second;
    EXPECT_GT(run_job({folder / "a.emb", ""}, folder / "a.knn", options).tiles_resumed, 0u);
    EXPECT_EQ(read_bytes(folder / "a.knn"), read_bytes(folder / "plain.knn"));
  }
}

// Whether a job goes with a screen when it chooses itself. Under a sanitizer, where pairs enough for that take half a
// minute, by its plan, which makes the same choice by the same code.
bool chooses_screen(const TempFolder& folder, const std::string& name, const JobOptions& options) {
  const JobInput input{folder / name, ""};
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  return plan_job(input, options).screened;
#else
  return run_job(input, folder / "a.knn", options).screened;
#endif
}

TEST(Screen, AutoLeavesNoiseAlone) {
  const TempFolder folder;
  write_matrix(folder / "noise.emb", make_matrix(Kind::kGaussian, 12000, 300, 10));
  JobOptions options = options_for(Metric::kCosine, 3, ScreenUse::kAuto);
  options.isa = kernels::select_kernel(Isa::kAuto).isa;  // a matrix unit's first look would leave too little to save
  EXPECT_FALSE(chooses_screen(folder, "noise.emb", options));
  write_matrix(folder / "structure.emb", make_matrix(Kind::kLowRank, 12000, 300, 10));
  EXPECT_TRUE(chooses_screen(folder, "structure.emb", options));
}

// What is foretold before any directions are known must hold of the ones that are found then.
TEST(ScreenPrediction, NoDirectionsAreBetterThanTheProductsAllow) {
  const TempFolder folder;
  for (const Kind kind : {Kind::kGaussian, Kind::kLowRank, Kind::kOneDirection, Kind::kClusters}) {
    const std::uint64_t columns = 120;
    write_matrix(folder / "a.emb", make_matrix(kind, 2000, columns, 30));
    PageBudget budget(std::uint64_t{1} << 28);
    const storage::MatrixFile matrix = storage::MatrixFile::open(folder / "a.emb");
    DenseRows rows(matrix, std::make_shared<const std::vector<std::uint64_t>>(matrix.container().load_checksums()),
                   budget, false);
    const kernels::TileKernel& kernel = kernels::select_kernel(Isa::kAuto);
    const screen::Workers workers{2, nullptr};
    const screen::Sample sample(budget, kernel, rows, matrix.rows(), columns, matrix.rows(), {});
    const screen::PredictedJob job{
        .top_k = 5, .query_rows = 2000, .base_rows = 2000, .self_join = true, .workers = workers};
    const screen::SampledQueries queries(budget, kernel, sample, columns, job);
    for (const std::uint64_t directions : {16u, 64u}) {
      const screen::Basis basis = screen::make_basis(budget, kernel, sample, columns, directions, workers);
      std::vector<float> unit(columns);
      double left_out = 0.0;
      for (std::uint64_t r = 0; r < matrix.rows(); ++r) {
        sample.by_row.get_row(r, unit.data());
        left_out += std::inner_product(unit.begin(), unit.end(), unit.begin(), 0.0);
        for (std::uint64_t d = 0; d < directions; ++d) {
          const float* direction = basis.directions.as<float>() + d * columns;
          const double along = std::inner_product(unit.begin(), unit.end(), direction, 0.0);
          left_out -= along * along;
        }
      }
      // The queries are a few of the rows: their mean is not quite that of all.
      EXPECT_GE(left_out / static_cast<double>(matrix.rows()) + 0.02, queries.least_residual(directions))
          << static_cast<int>(kind) << ", " << directions << " directions";
    }
    // Where much is left out, that is known beforehand.
    if (kind == Kind::kGaussian) {
      EXPECT_GT(queries.least_residual(16), 0.5);
    }
    const kernels::ScreenKernel& screen_kernel = kernels::select_screen_kernel(Isa::kAuto);
    const double least = screen::least_cost(screen_kernel, queries, columns, 112, job);
    const screen::Basis basis = screen::make_basis(budget, kernel, sample, columns, 112, workers);
    EXPECT_LE(least, screen::predict(budget, kernel, screen_kernel, sample, queries, basis, job).cost * 1.05);
  }
}

// A first look is given up where it leaves nearly all pairs, and so must a screen be that would leave them too.
TEST(Screen, AutoLeavesRowsThatAreHardlyApartAlone) {
  const TempFolder folder;
  const std::uint64_t rows = 8000, columns = 784;
  TestMatrix matrix = random_matrix(rows, columns, 40);
  for (float& value : matrix.values) value += 30.0f;
  write_matrix(folder / "far.emb", matrix);
  EXPECT_FALSE(chooses_screen(folder, "far.emb", options_for(Metric::kL2, 10, ScreenUse::kAuto)));
}

ScreenInfo make_screen_file(const std::string& matrix_path) {
  ScreenOptions options;
  options.budget_bytes = std::uint64_t{1} << 30;
  return build_screen(matrix_path, options);
}

TEST(ScreenFile, BesideTheMatrixItIsUsedAndOfAnotherMatrixItIsNot) {
  const TempFolder folder;
  const JobInput input{folder / "a.emb", ""};
  const std::string screen_path = default_screen_path(input.base_path);
  write_matrix(input.base_path, make_matrix(Kind::kLowRank, 900, 80, 13));
  const ScreenInfo info = make_screen_file(input.base_path);
  EXPECT_EQ(info.rows, 900u);
  EXPECT_EQ(info.columns, 80u);
  EXPECT_EQ(info.prefix_dims, 80u);
  const JobReport report = compare_with_plain(folder, input, options_for(Metric::kCosine, 8, ScreenUse::kOn));
  EXPECT_TRUE(report.screened);
  EXPECT_TRUE(std::filesystem::exists(screen_path));

  write_matrix(input.base_path, make_matrix(Kind::kLowRank, 900, 80, 14));
  EXPECT_TRUE(compare_with_plain(folder, input, options_for(Metric::kCosine, 8, ScreenUse::kOn)).screened);

  make_screen_file(input.base_path);
  const JobOptions by_default = options_for(Metric::kCosine, 8, ScreenUse::kAuto);
  std::string bytes = read_bytes(screen_path);
  bytes[8000] = static_cast<char>(bytes[8000] ^ 1);
  write_bytes(screen_path, bytes);
  const std::string message = expect_error(
      ErrorCode::kCorrupt, [&] { run_job(input, folder / "a.knn", options_for(Metric::kCosine, 8, ScreenUse::kOn)); });
  EXPECT_NE(message.find(screen_path), std::string::npos) << message;
  EXPECT_FALSE(std::filesystem::exists(folder / "a.knn"));
  run_job(input, folder / "a.knn", by_default);
}

// Also where the job is free to do without: whoever made the file should hear of it.
TEST(ScreenFile, ADamagedOneIsAnErrorByDefaultToo) {
  const TempFolder folder;
  const std::string matrix = folder / "a.emb";
  write_matrix(matrix, make_matrix(Kind::kLowRank, 8000, 640, 19));  // large enough that a screen is looked for
  write_bytes(default_screen_path(matrix), std::string(8192, 'x'));
  for (const ScreenUse use : {ScreenUse::kAuto, ScreenUse::kOn}) {
    const std::string message = expect_error(ErrorCode::kCorrupt, [&] {
      run_job({matrix, ""}, folder / "a.knn", options_for(Metric::kCosine, 8, use));
    });
    EXPECT_NE(message.find(default_screen_path(matrix)), std::string::npos) << message;
  }
}

// Rows that are not what a matrix may hold, with right checksums: a foreign writer's. They must not cost other rows
// their neighbours.
TEST(ScreenFile, ARowThatIsNotANumberLeavesTheJobWithoutAScreen) {
  const TempFolder folder;
  TestMatrix matrix = make_matrix(Kind::kLowRank, 900, 64, 18);
  // i8 rows of the largest floats decode to infinities.
  for (const std::uint64_t row : {5u, 777u})
    for (std::uint64_t c = 0; c < matrix.columns; ++c)
      matrix.values[row * matrix.columns + c] = (c % 2 == 0 ? 1.0f : -1.0f) * std::numeric_limits<float>::max();
  write_matrix(folder / "a.emb", matrix, ElementType::kI8);
  const JobReport report =
      compare_with_plain(folder, {folder / "a.emb", ""}, options_for(Metric::kInnerProduct, 8, ScreenUse::kOn));
  EXPECT_FALSE(report.screened);
  expect_error(ErrorCode::kInvalidArgument, [&] { make_screen_file(folder / "a.emb"); });
  EXPECT_FALSE(std::filesystem::exists(default_screen_path(folder / "a.emb")));
  EXPECT_FALSE(std::filesystem::exists(default_screen_path(folder / "a.emb") + ".partial"));
}

TEST(ScreenFile, IsTheSameWhateverTheThreads) {
  const TempFolder folder;
  write_matrix(folder / "a.emb", make_matrix(Kind::kGaussian, 500, 100, 15));
  ScreenOptions options;
  options.budget_bytes = std::uint64_t{1} << 30;
  for (const std::uint32_t threads : {1u, 2u, 5u}) {
    options.threads = threads;
    options.output_path = folder / std::to_string(threads);
    build_screen(folder / "a.emb", options);
    EXPECT_EQ(read_bytes(folder / std::to_string(threads)), read_bytes(folder / "1"));
  }
}

TEST(ScreenFile, MatricesThatCanHaveNoneAreRefused) {
  const TempFolder folder;
  write_matrix(folder / "narrow.emb", random_matrix(100, 31, 1));
  write_matrix(folder / "short.emb", random_matrix(63, 40, 1));
  write_sparse_matrix(folder / "sparse.emb", random_matrix(100, 40, 1, 0.5));
  for (const char* name : {"narrow.emb", "short.emb", "sparse.emb"}) {
    expect_error(ErrorCode::kInvalidArgument, [&] { make_screen_file(folder / name); });
    EXPECT_FALSE(
        run_job({folder / name, ""}, folder / "a.knn", options_for(Metric::kCosine, 3, ScreenUse::kOn)).screened);
  }
}

TEST(Orthonormalize, RowsComeOutOrthonormalAndTheErrorIsKnown) {
  const std::uint64_t rows = 40, columns = 90;
  TestMatrix matrix = random_matrix(rows, columns, 11);  // copies and zero rows among them
  screen::orthonormalize(matrix.values.data(), rows, columns, 2, 2);
  const double error = screen::orthonormality_error(matrix.values.data(), rows, columns, 2);
  EXPECT_LT(error, 1e-4);
  for (std::uint64_t i = 0; i < rows; ++i)
    for (std::uint64_t j = 0; j <= i; ++j) {
      const double product = std::inner_product(matrix.row(i), matrix.row(i) + columns, matrix.row(j), 0.0);
      const bool is_zero = std::all_of(matrix.row(i), matrix.row(i) + columns, [](float value) { return value == 0; });
      EXPECT_LE(std::fabs(product - (i == j && !is_zero ? 1.0 : 0.0)), error);
    }
  matrix.values[7] = std::numeric_limits<float>::quiet_NaN();
  const double no_error = screen::orthonormality_error(matrix.values.data(), rows, columns, 2);
  EXPECT_FALSE(screen::ScreenMargin(columns, 32, no_error).is_usable());
}

// One pair's bound and score, as a job computes them, for rows that leave nothing out and so stand at the bound: what
// is left is rounding alone.
struct BoundCheck {
  std::uint64_t pairs = 0;
  std::uint64_t lost = 0;                // bounds below the score
  std::uint64_t lost_without_slack = 0;  // and what it would be without the slack coordinate
};

BoundCheck check_bounds(std::uint64_t rows, std::uint64_t columns, std::uint64_t prefix_dims, unsigned seed) {
  // Rows in the span of a few directions that the basis holds: residuals are nothing but rounding.
  TestMatrix basis = random_matrix(prefix_dims, columns, seed);
  for (float& value : basis.values) value += 0.01f;
  screen::orthonormalize(basis.values.data(), prefix_dims, columns, 2, 1);
  const double error = screen::orthonormality_error(basis.values.data(), prefix_dims, columns, 1);
  TestMatrix matrix{rows, columns, std::vector<float>(rows * columns)};
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  for (std::uint64_t r = 0; r < rows; ++r)
    for (std::uint64_t d = 0; d < prefix_dims; ++d) {
      const float share = normal(random);
      for (std::uint64_t c = 0; c < columns; ++c) matrix.values[r * columns + c] += share * basis.row(d)[c];
    }
  PageBudget budget(std::uint64_t{1} << 30);
  const kernels::TileKernel& kernel = kernels::kScalarKernel;
  const screen::Projection projection(budget, kernel, basis.values.data(), prefix_dims, columns, error);
  screen::Projection::Scratch scratch(projection);
  const screen::ScreenMargin margin(columns, prefix_dims, error);
  std::vector<float> prefixes(rows * prefix_dims), residuals(rows * prefix_dims / storage::kScreenStep);
  std::vector<double> norms(rows);
  for (std::uint64_t r = 0; r < rows; ++r)
    projection.project(matrix.row(r), 1, scratch, prefixes.data() + r * prefix_dims,
                       residuals.data() + r * (prefix_dims / storage::kScreenStep), norms.data() + r);
  const auto residual = [&](std::uint64_t r) { return residuals[(r + 1) * (prefix_dims / storage::kScreenStep) - 1]; };
  BoundCheck check;
  for (std::uint64_t i = 0; i < rows; ++i)
    for (std::uint64_t j = 0; j < rows; ++j) {
      float score = 0.0f;
      for (std::uint64_t c = 0; c < columns; ++c) score = std::fma(matrix.row(i)[c], matrix.row(j)[c], score);
      float bound = 0.0f;
      for (std::uint64_t d = 0; d < prefix_dims; ++d)
        bound = std::fma(prefixes[i * prefix_dims + d], prefixes[j * prefix_dims + d], bound);
      // Without the slack, and with residuals as they are in exact arithmetic: none.
      check.lost_without_slack += bound < score;
      bound = std::fma(residual(i), residual(j), bound);
      bound = std::fma(margin.slack_coordinate(norms[i]), margin.slack_coordinate(norms[j]), bound);
      check.lost += bound < score;
      ++check.pairs;
    }
  return check;
}

TEST(ScreenMargin, NoBoundIsBelowItsScoreAndWithoutSlackManyAre) {
  for (const auto& [columns, prefix_dims] : {std::pair<std::uint64_t, std::uint64_t>{64, 16}, {200, 48}, {784, 16}}) {
    const BoundCheck check = check_bounds(80, columns, prefix_dims, 12);
    EXPECT_EQ(check.lost, 0u) << columns;
    EXPECT_GT(check.lost_without_slack, check.pairs / 10) << columns;
  }
}

TEST(ScreenMargin, SlackGrowsWithWhatItMustCover) {
  const screen::ScreenMargin few(64, 16, 1e-6), more(784, 256, 1e-6), rough(784, 256, 1e-3);
  EXPECT_LT(few.slack(), more.slack());
  EXPECT_LT(more.slack(), rough.slack());
  EXPECT_LT(more.slack(), 1e-3);
  EXPECT_TRUE(more.is_usable());
  EXPECT_FALSE(screen::ScreenMargin(4096, 256, 0.5).is_usable());
  EXPECT_GE(more.residual_norm(4.0, 4.0), 0.0f);
  EXPECT_GT(more.residual_norm(4.0, 1.0), std::sqrt(3.0f));
}

}  // namespace
}  // namespace simtile::tests
