// Jobs on several fields, and on sparse rows, against the definition, bit for bit.
#include <gmock/gmock.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include "engine/kernels/tile_kernel.h"
#include "engine/plan/tile_plan.h"
#include "engine/storage/matrix_writer.h"
#include "simtile/error.h"
#include "simtile/import.h"
#include "simtile/job.h"
#include "tests/job_oracle.h"
#include "tests/test_files.h"

namespace simtile::tests {
namespace {

// Neighbours enough that they go to disk under a small budget; under a sanitizer, where each takes its time, fewer.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr std::uint64_t kSpillingRows = 1603;
constexpr std::array kSpillingThreads{2u};
constexpr std::array kSpillingWeights{-0.125f};
constexpr std::uint64_t kRoomToGrow = std::uint64_t{32} << 20;  // its own, of a process that runs one job after another
#else
constexpr std::uint64_t kSpillingRows = 2003;
constexpr std::array kSpillingThreads{1u, 2u};
constexpr std::array kSpillingWeights{-0.125f, 0.125f};
constexpr std::uint64_t kRoomToGrow = 2 * plan::kProcessStepBytes;
#endif

using testing::HasSubstr;

void write_dense_matrix(const std::string& path, const TestMatrix& matrix) { write_matrix(path, matrix); }

// Columns as a text has them: column c of `columns` is in about one row of c / 2, so that some are in nearly all rows
// and some in hardly any; not in that order, so that heavy and light ones take turns.
TestMatrix text_matrix(std::uint64_t rows, std::uint64_t columns, unsigned seed) {
  TestMatrix matrix = random_matrix(rows, columns, seed);
  std::mt19937 random(seed + 1);
  std::uniform_real_distribution<double> uniform;
  for (std::uint64_t r = 0; r < rows; ++r)
    for (std::uint64_t c = 0; c < columns; ++c)
      if (uniform(random) > 2.0 / static_cast<double>((c * 7) % columns + 1)) matrix.values[r * columns + c] = 0.0f;
  return matrix;
}

struct TestField {
  TestMatrix base;
  TestMatrix queries;  // of a search
  float weight;
};

bool is_zero(const float* row, std::uint64_t columns) {
  return std::all_of(row, row + columns, [](float value) { return value == 0.0f; });
}

// The definition, in the plainest code.
float fields_score(const std::vector<TestField>& fields, bool search, Metric metric, bool renormalize, std::uint64_t q,
                   std::uint64_t b) {
  float sum = 0.0f;
  float weights = 0.0f;
  for (const TestField& field : fields) {
    const std::uint64_t columns = field.base.columns;
    const float* query = (search ? field.queries : field.base).row(q);
    const float* base = field.base.row(b);
    sum = std::fma(field.weight, definition_score(metric, query, base, columns), sum);
    if (renormalize && !is_zero(query, columns) && !is_zero(base, columns)) weights += field.weight;
  }
  if (renormalize) sum = weights == 0.0f ? 0.0f : sum / weights;
  return sum + 0.0f;
}

Answer fields_answer(std::vector<TestField> fields, bool search, Metric metric, std::uint64_t top_k,
                     bool renormalize = false) {
  if (metric == Metric::kCosine)
    for (TestField& field : fields) {
      field.base = unit_rows(field.base);
      if (search) field.queries = unit_rows(field.queries);
    }
  const std::uint64_t query_rows = (search ? fields.front().queries : fields.front().base).rows;
  Answer answer(query_rows);
  for (std::uint64_t q = 0; q < query_rows; ++q) {
    std::vector<Neighbour>& found = answer[q];
    for (std::uint64_t b = 0; b < fields.front().base.rows; ++b)
      if (search || b != q) found.push_back({b, fields_score(fields, search, metric, renormalize, q, b)});
    std::stable_sort(found.begin(), found.end(),
                     [](const Neighbour& x, const Neighbour& y) { return x.score > y.score; });
    found.resize(std::min<std::size_t>(found.size(), top_k));
  }
  return answer;
}

JobOptions options_for(Metric metric, std::uint64_t top_k) {
  JobOptions options;
  options.metric = metric;
  options.top_k = top_k;
  options.budget_bytes = std::uint64_t{1} << 30;
  options.threads = 2;
  return options;
}

class Fields : public testing::Test {
 protected:
  // Text, an image, a second text; some rows lack some of them.
  void make(std::uint64_t rows, std::uint64_t query_rows, float last_weight = -0.125f) {
    fields_ = {{text_matrix(rows, 90, 1), text_matrix(query_rows, 90, 2), 0.7f},
               {random_matrix(rows, 37, 3), random_matrix(query_rows, 37, 4), 0.3f},
               {text_matrix(rows, 25, 5), text_matrix(query_rows, 25, 6), last_weight}};
    write_sparse_matrix(path(0, false), fields_[0].base);
    write_sparse_matrix(path(0, true), fields_[0].queries);
    write_matrix(path(1, false), fields_[1].base);
    write_matrix(path(1, true), fields_[1].queries);
    write_sparse_matrix(path(2, false), fields_[2].base);
    write_sparse_matrix(path(2, true), fields_[2].queries);
  }
  // Pictures, text, other pictures, all of which count for something.
  void make_for_a_look(std::uint64_t rows, std::uint64_t query_rows) {
    fields_ = {{random_matrix(rows, 33, 1), random_matrix(query_rows, 33, 2), 0.3f},
               {text_matrix(rows, 60, 3), text_matrix(query_rows, 60, 4), 0.5f},
               {random_matrix(rows, 18, 5), random_matrix(query_rows, 18, 6), 0.2f}};
    for (std::size_t f = 0; f < fields_.size(); ++f) {
      TestMatrix& base = fields_[f].base;
      for (const std::uint64_t row : {7 + f, 8 + f, 140 + f})
        std::fill_n(base.values.begin() + static_cast<std::ptrdiff_t>(row * base.columns), base.columns, 0.0f);
      const auto write = f == 1 ? write_sparse_matrix : write_dense_matrix;
      write(path(f, false), base);
      write(path(f, true), fields_[f].queries);
    }
  }
  std::string path(std::size_t field, bool queries) const {
    return folder_ / ((queries ? "q" : "b") + std::to_string(field) + ".emb");
  }
  JobInput input(bool search) const {
    JobInput input;
    for (std::size_t f = 0; f < fields_.size(); ++f)
      input.fields.push_back({"f" + std::to_string(f), path(f, false), search ? path(f, true) : "", fields_[f].weight});
    return input;
  }

  const TempFolder folder_;
  const std::string knn_ = folder_ / "a.knn";
  std::vector<TestField> fields_;
};

TEST_F(Fields, JoinAndSearchAreTheDefinition) {
  make(503, 71);
  for (const Metric metric : {Metric::kCosine, Metric::kInnerProduct})
    for (const bool search : {false, true}) {
      const Answer answer = fields_answer(fields_, search, metric, 12);
      for (const Isa isa : {Isa::kScalar, Isa::kAvx2, Isa::kAvx512}) {
        if (!kernels::is_supported(isa)) continue;
        JobOptions options = options_for(metric, 12);
        options.isa = isa;
        run_job(input(search), knn_, options);
        EXPECT_EQ(first_difference(knn_, answer), "") << to_string(metric) << ' ' << search << ' ' << to_string(isa);
      }
    }
}

// Dense fields before, between and after sparse ones; rows that lack some of them; rows too long to be looked at.
TEST_F(Fields, AFirstLookIsTheDefinition) {
  constexpr std::uint64_t kMostNeighbours = 3;
  for (const bool search : {false, true})
    for (const auto& [metric, renormalize, scale] : {std::tuple{Metric::kCosine, false, 1.0f},
                                                     {Metric::kCosine, true, 1.0f},
                                                     {Metric::kInnerProduct, false, 1.0f},
                                                     {Metric::kInnerProduct, true, 1e17f}}) {
      // A search needs several tiles: queries without neighbours meet the first directly.
      make_for_a_look(search ? 4000 : 900, 150);
      for (float& value : fields_[2].base.values) value *= scale;
      write_matrix(path(2, false), fields_[2].base);
      JobOptions options = options_for(metric, kMostNeighbours);
      options.renormalize = renormalize;
      const JobReport report = run_job(input(search), knn_, options);
      const Answer answer = fields_answer(fields_, search, metric, kMostNeighbours, renormalize);
      EXPECT_EQ(first_difference(knn_, answer), "") << to_string(metric) << ' ' << renormalize << ' ' << search;
      EXPECT_EQ(report.plan.first_look_isa, name_of_first_look());
      if (!name_of_first_look().empty()) {
        EXPECT_GT(report.pairs_by_definition, 0u);
        EXPECT_LE(report.pairs_by_definition, scale == 1.0f ? report.pairs_scored * 3 / 4 : report.pairs_scored)
            << to_string(metric) << ' ' << renormalize << ' ' << search;
      }
    }
}

// What does not look is the same job: other kernels, weights below zero, which turn a bound round, and too little room.
TEST_F(Fields, AFirstLookChangesNoByteInAnyPlan) {
  make_for_a_look(900, 150);
  const auto run = [&](JobOptions options) {
    const JobReport report = run_job(input(false), knn_, options);
    options.isa = Isa::kScalar;
    run_job(input(false), folder_ / "scalar.knn", options);
    EXPECT_TRUE(read_bytes(knn_) == read_bytes(folder_ / "scalar.knn"));
    return report.plan;
  };
  JobOptions options = options_for(Metric::kCosine, 20);
  for (const bool renormalize : {false, true}) {
    options.renormalize = renormalize;
    const std::string looking = name_of_first_look();
    options.budget_bytes = std::uint64_t{1} << 30;
    const std::uint64_t planned = plan_job(input(false), options).planned_peak_bytes;
    options.budget_bytes = planned + kRoomToGrow;  // all that is allocated must be planned
    EXPECT_EQ(run(options).first_look_isa, looking);
    options.budget_bytes = 1;
    options.budget_bytes = plan_job_at_least(input(false), options).smallest_budget_bytes + 2 * kRoomToGrow;
    run(options);
  }
  options = options_for(Metric::kCosine, 0);
  options.min_score = 0.3f;
  run(options);
  options = options_for(Metric::kCosine, 20);
  fields_[0].weight = -0.3f;
  EXPECT_EQ(run(options).first_look_isa, "");
  make_for_a_look(900, 60);
  EXPECT_EQ(plan_job(input(true), options).first_look_isa, "") << "rows would be made ready for few queries";
}

// Sums beyond the largest float: a bound that is not a number lets its pair through, a score that is none does not
// pass.
TEST_F(Fields, AFirstLookAtSumsThatOverflowIsTheDefinition) {
  make_for_a_look(600, 10);
  fields_[0].weight = fields_[2].weight = 3e38f;
  fields_[1].weight = 1.0f;
  for (const bool renormalize : {false, true}) {
    JobOptions options = options_for(Metric::kCosine, 3);
    options.renormalize = renormalize;
    run_job(input(false), knn_, options);
    options.isa = Isa::kScalar;
    run_job(input(false), folder_ / "scalar.knn", options);
    EXPECT_TRUE(read_bytes(knn_) == read_bytes(folder_ / "scalar.knn")) << renormalize;
  }
}

// A hashed vocabulary's columns are not the dense field's.
TEST_F(Fields, AFirstLookGoesOnBesideManySparseColumns) {
  generate_matrix(path(0, false),
                  {.kind = GenerateOptions::Kind::kSparse, .rows = 3000, .dims = 200'000, .nonzeros_per_row = 20.0});
  generate_matrix(path(1, false), {.rows = 3000, .dims = 40});
  JobInput both;
  both.fields = {{"text", path(0, false), "", 0.5f}, {"image", path(1, false), "", 0.5f}};
  JobOptions options = options_for(Metric::kCosine, 3);
  const JobReport report = run_job(both, knn_, options);
  if (!name_of_first_look().empty()) {
    EXPECT_LT(report.pairs_by_definition, report.pairs_scored / 4);
  }
  options.isa = Isa::kScalar;
  run_job(both, folder_ / "scalar.knn", options);
  EXPECT_TRUE(read_bytes(knn_) == read_bytes(folder_ / "scalar.knn"));
}

TEST_F(Fields, BudgetsAndThreadsGiveTheSameBytes) {
  for (const float last_weight : kSpillingWeights) {
    make(kSpillingRows, 10, last_weight);
    JobOptions options = options_for(Metric::kCosine, kSpillingRows / 3);
    run_job(input(false), knn_, options);
    EXPECT_EQ(first_difference(knn_, fields_answer(fields_, false, Metric::kCosine, kSpillingRows / 3)), "");
    const std::string bytes = read_bytes(knn_);
    for (const std::uint32_t threads : kSpillingThreads) {
      options.threads = threads;
      options.budget_bytes = 1;
      // A process that runs several jobs is larger than one that starts: some room for that.
      options.budget_bytes = plan_job_at_least(input(false), options).smallest_budget_bytes + (std::uint64_t{2} << 20);
      EXPECT_TRUE(plan_job(input(false), options).spills);
      run_job(input(false), folder_ / "b.knn", options);
      EXPECT_EQ(read_bytes(folder_ / "b.knn"), bytes) << threads;
    }
  }
}

TEST_F(Fields, AnInterruptedJobGoesOnToTheSameBytes) {
  make(1501, 10);
  JobOptions options = options_for(Metric::kCosine, 10);
  options.threads = 1;
  run_job(input(false), knn_, options);
  const std::string bytes = read_bytes(knn_);
  std::atomic<bool> stop{false};
  options.stop = &stop;
  options.checkpoint_seconds = 0.0;
  options.progress = [&](const JobProgress& progress) { stop = progress.rows_done > 0; };
  const std::string resumed = folder_ / "b.knn";
  EXPECT_THROW(run_job(input(false), resumed, options), Error);
  stop = false;
  options.progress = nullptr;
  options.isa = Isa::kScalar;
  // Other weights are another job: nothing is taken up.
  JobInput other = input(false);
  other.fields[1].weight = 0.31f;
  options.work_dir = resumed + ".work";
  const JobReport report = run_job(input(false), resumed, options);
  EXPECT_GT(report.tiles_resumed, 0u);
  EXPECT_EQ(read_bytes(resumed), bytes);
  run_job(other, resumed, options);
  EXPECT_NE(read_bytes(resumed), bytes);
}

TEST_F(Fields, AFieldOfWeightZeroIsLeftOut) {
  make(300, 50);
  JobInput without = input(false);
  without.fields.erase(without.fields.begin() + 1);
  run_job(without, knn_, options_for(Metric::kCosine, 7));
  JobInput with = input(false);
  with.fields[1].weight = 0.0f;
  run_job(with, folder_ / "b.knn", options_for(Metric::kCosine, 7));
  EXPECT_EQ(read_bytes(folder_ / "b.knn"), read_bytes(knn_));
}

TEST_F(Fields, OneFieldOfWeightOneIsThePlainJob) {
  make(300, 50);
  for (const std::size_t f : {0u, 1u})
    for (const Metric metric : {Metric::kCosine, Metric::kInnerProduct, Metric::kL2})
      for (const bool search : {false, true}) {
        JobInput plain;
        plain.base_path = path(f, false);
        plain.queries_path = search ? path(f, true) : "";
        run_job(plain, knn_, options_for(metric, 7));
        JobInput field;
        field.fields = {{"only", plain.base_path, plain.queries_path, 1.0f}};
        JobOptions options = options_for(metric, 7);
        options.renormalize = true;
        run_job(field, folder_ / "b.knn", options);
        EXPECT_EQ(read_bytes(folder_ / "b.knn"), read_bytes(knn_)) << f << to_string(metric) << search;
      }
}

TEST_F(Fields, TheReportCountsTheFilesOfAllFields) {
  make(300, 50);
  for (const bool search : {false, true}) {
    const JobInput all = input(search);
    std::uint64_t bytes = 0;
    for (const JobField& field : all.fields)
      bytes +=
          std::filesystem::file_size(field.base_path) + (search ? std::filesystem::file_size(field.queries_path) : 0);
    EXPECT_EQ(run_job(all, knn_, options_for(Metric::kCosine, 3)).input_bytes, bytes);
  }
}

// More than there are bits in a word that says which fields a row has; only renormalised sums need one.
TEST_F(Fields, FortyOfThemAreTheDefinition) {
  for (unsigned f = 0; f < 40; ++f) {
    fields_.push_back({random_matrix(120, 5, f), random_matrix(30, 5, 100 + f), 0.1f * static_cast<float>(f + 1)});
    if (f % 3 == 0) {
      write_sparse_matrix(path(f, false), fields_[f].base);
      write_sparse_matrix(path(f, true), fields_[f].queries);
    } else {
      write_matrix(path(f, false), fields_[f].base);
      write_matrix(path(f, true), fields_[f].queries);
    }
  }
  for (const bool search : {false, true}) {
    run_job(input(search), knn_, options_for(Metric::kCosine, 6));
    EXPECT_EQ(first_difference(knn_, fields_answer(fields_, search, Metric::kCosine, 6)), "") << search;
  }
}

TEST_F(Fields, OneWeightedFieldIsTheDefinition) {
  make(300, 50);
  for (const std::size_t f : {0u, 1u}) {
    JobInput one;
    one.fields = {input(false).fields[f]};
    run_job(one, knn_, options_for(Metric::kInnerProduct, 7));
    EXPECT_EQ(first_difference(knn_, fields_answer({fields_[f]}, false, Metric::kInnerProduct, 7)), "");
  }
}

TEST_F(Fields, ADenseMatrixStoredSparseGivesTheSameBits) {
  make(403, 60);
  write_sparse_matrix(folder_ / "sparse.emb", fields_[1].base);
  run_job(input(false), knn_, options_for(Metric::kCosine, 9));
  const Answer answer = fields_answer(fields_, false, Metric::kCosine, 9);
  EXPECT_EQ(first_difference(knn_, answer), "");
  JobInput sparse = input(false);
  sparse.fields[1].base_path = folder_ / "sparse.emb";
  run_job(sparse, knn_, options_for(Metric::kCosine, 9));
  EXPECT_EQ(first_difference(knn_, answer), "");
  for (const Metric metric : {Metric::kCosine, Metric::kInnerProduct, Metric::kL2}) {
    run_job({folder_ / "sparse.emb", ""}, knn_, options_for(metric, 9));
    EXPECT_EQ(first_difference(knn_, definition_answer(fields_[1].base, nullptr, metric, 9)), "") << to_string(metric);
  }
}

TEST_F(Fields, RenormalizedSumsAreOfTheFieldsThatBothRowsHave) {
  make(403, 60);
  for (TestField& field : fields_) field.weight = std::abs(field.weight);
  for (std::uint64_t r = 0; r < 403; ++r)
    for (TestField& field : fields_)
      if ((r * 2654435761u + field.base.columns) % 5 == 0)
        std::fill_n(field.base.values.begin() + static_cast<std::ptrdiff_t>(r * field.base.columns), field.base.columns,
                    0.0f);
  write_sparse_matrix(path(0, false), fields_[0].base);
  write_matrix(path(1, false), fields_[1].base);
  write_sparse_matrix(path(2, false), fields_[2].base);
  for (const bool search : {false, true})
    for (const Isa isa : {Isa::kScalar, Isa::kAuto}) {
      JobOptions options = options_for(Metric::kCosine, 11);
      options.renormalize = true;
      options.isa = isa;
      run_job(input(search), knn_, options);
      EXPECT_EQ(first_difference(knn_, fields_answer(fields_, search, Metric::kCosine, 11, true)), "") << search;
      EXPECT_TRUE(Neighbours(knn_).info().renormalized);
    }
}

TEST_F(Fields, TheAnswerSaysWhatItIsASumOf) {
  make(60, 20);
  run_job(input(true), knn_, options_for(Metric::kCosine, 3));
  const NeighboursInfo info = Neighbours(knn_).info();
  ASSERT_EQ(info.fields.size(), 3u);
  EXPECT_EQ(info.columns, 90u + 37u + 25u);
  for (std::size_t f = 0; f < 3; ++f) {
    EXPECT_EQ(info.fields[f].name, "f" + std::to_string(f));
    EXPECT_EQ(info.fields[f].weight, fields_[f].weight);
    EXPECT_EQ(info.fields[f].columns, fields_[f].base.columns);
    EXPECT_EQ(info.fields[f].base_identity, storage::MatrixFile::open(path(f, false)).identity());
    EXPECT_EQ(info.fields[f].query_identity, storage::MatrixFile::open(path(f, true)).identity());
  }
}

void expect_refusal(const JobInput& input, const JobOptions& options, const std::string& words) {
  try {
    plan_job(input, options);
    ADD_FAILURE() << "expected an error with: " << words;
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    EXPECT_THAT(error.what(), HasSubstr(words));
  }
}

TEST_F(Fields, FieldsThatDoNotGoTogetherAreRefused) {
  make(60, 20);
  const JobOptions options = options_for(Metric::kCosine, 3);
  JobInput changed = input(false);
  changed.fields[2].base_path = path(2, true);
  expect_refusal(changed, options, "row 20 is in one of them alone");
  changed = input(false);
  changed.fields[1].name = "f0";
  expect_refusal(changed, options, "two fields are named 'f0'");
  changed = input(false);
  changed.fields[1].name = "a b";
  expect_refusal(changed, options, "cannot name a field");
  changed = input(true);
  changed.fields[1].queries_path = "";
  expect_refusal(changed, options, "'f1' has no queries");
  changed = input(false);
  for (JobField& field : changed.fields) field.weight = 0.0f;
  expect_refusal(changed, options, "every field has weight 0");
  expect_refusal(input(false), options_for(Metric::kL2, 3), "not l2");
  JobOptions renormalize = options;
  renormalize.renormalize = true;
  expect_refusal(input(false), renormalize, "negative");
}

TEST_F(Fields, IdsMustAgreeAndAreTakenFromAFieldThatHasThem) {
  const auto write = [&](const std::string& name, storage::IdKind kind) {
    write_dense(folder_ / name, 40, 3, ElementType::kF32, kind);
  };
  write("none.emb", storage::IdKind::kNone);
  write("ids.emb", storage::IdKind::kString);
  storage::MatrixWriterOptions options;
  options.columns = 2;
  options.id_kind = storage::IdKind::kString;
  storage::MatrixWriter writer(folder_ / "other.emb", options);
  for (std::uint64_t r = 0; r < 40; ++r) {
    writer.append_rows(std::vector<float>{1.0f, static_cast<float>(r)});
    writer.append_id(r == 33 ? "stranger" : string_id(r));
  }
  writer.finish();
  JobInput input;
  input.fields = {{"a", folder_ / "none.emb", "", 1.0f}, {"b", folder_ / "ids.emb", "", 1.0f}};
  run_job(input, knn_, options_for(Metric::kCosine, 3));
  EXPECT_EQ(Neighbours(knn_).query_id(7), string_id(7));
  input.fields.push_back({"c", folder_ / "other.emb", "", 1.0f});
  expect_refusal(input, options_for(Metric::kCosine, 3), "row 33 is 'id-33'");
}

}  // namespace
}  // namespace simtile::tests
