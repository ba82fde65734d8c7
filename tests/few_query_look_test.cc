// The first look of a few queries at base rows as they are stored: its products are as near as they say, and it finds
// every pair that reaches its query's threshold, with the definition's score.
#include "engine/screen/few_query_look.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <random>

#include "engine/plan/memory_model.h"
#include "engine/screen/look_pace.h"
#include "engine/storage/element.h"
#include "engine/storage/row_norm.h"
#include "tests/job_oracle.h"

namespace simtile::screen {
namespace {

using kernels::kColumnMask;
using kernels::kQueryShift;
using tests::TestMatrix;

constexpr Metric kMetrics[] = {Metric::kCosine, Metric::kInnerProduct, Metric::kL2};
constexpr ElementType kTypes[] = {ElementType::kF32, ElementType::kF16, ElementType::kBF16, ElementType::kI8,
                                  ElementType::kU8};

// Rows as a file holds them, and what decoding makes of them.
struct StoredMatrix {
  StoredMatrix(const TestMatrix& matrix, ElementType element_type) : type(element_type), decoded(matrix) {
    stride = static_cast<std::size_t>(matrix.columns) * element_bytes(type) + 3;  // rows need not be aligned
    bytes.resize(matrix.rows * stride - 3);                                       // nothing behind the last one
    scales.resize(matrix.rows);
    for (std::uint64_t r = 0; r < matrix.rows; ++r) {
      std::vector<float> values(matrix.row(r), matrix.row(r) + matrix.columns);
      if (type == ElementType::kU8)
        for (float& value : values) value = std::clamp(std::nearbyint(64.0f + 40.0f * value), 0.0f, 255.0f);
      storage::encode_row(type, values.data(), values.size(), false, bytes.data() + r * stride, &scales[r]);
      storage::decode_row(type, bytes.data() + r * stride, values.size(), scales[r],
                          decoded.values.data() + r * matrix.columns);
    }
  }
  ElementType type;
  TestMatrix decoded;
  std::size_t stride;
  std::vector<std::byte> bytes;
  std::vector<float> scales;
};

class FewQueryLookTest : public testing::TestWithParam<Isa> {
 protected:
  const kernels::TileKernel& kernel() const { return kernels::select_kernel(GetParam()); }
};

// What a row's elements are, without an i8 row's scale.
std::vector<double> stored_values(const StoredMatrix& base, std::uint32_t row) {
  std::vector<double> values;
  for (std::uint64_t d = 0; d < base.decoded.columns; ++d) {
    const auto value = static_cast<double>(base.decoded.row(row)[d]);
    values.push_back(base.type == ElementType::kI8 ? std::nearbyint(value / static_cast<double>(base.scales[row]))
                                                   : value);
  }
  return values;
}

double inner_product(const std::vector<double>& x, const std::vector<double>& y) {
  return std::inner_product(x.begin(), x.end(), y.begin(), 0.0);
}

void check_products(const kernels::TileKernel& kernel, const StoredMatrix& base, std::uint32_t query_count,
                    bool exact_squares) {
  const auto dims = static_cast<std::uint32_t>(base.decoded.columns);
  const auto base_count = static_cast<std::uint32_t>(base.decoded.rows);
  const bool of_integers = base.type == ElementType::kI8 || base.type == ElementType::kU8;
  const TestMatrix queries = tests::random_matrix(query_count, dims, dims + query_count);
  std::vector<std::int16_t> integers(query_count * dims);
  std::mt19937 random(dims);
  for (std::int16_t& value : integers) value = static_cast<std::int16_t>(static_cast<int>(random() % 65535) - 32767);
  constexpr float kGuard = 12345.0f;
  std::vector<float> products(query_count * base_count + 8, kGuard), squares(base_count + 8, kGuard);
  kernels::multiply_stored_rows_of(kernel, base.type)({.queries = queries.values.data(),
                                                       .integer_queries = integers.data(),
                                                       .base_rows = base.bytes.data(),
                                                       .base_row_stride = base.stride,
                                                       .dims = dims,
                                                       .query_count = query_count,
                                                       .base_count = base_count,
                                                       .exact_squares = exact_squares,
                                                       .products = products.data(),
                                                       .squares = squares.data()});
  for (std::uint32_t i = 0; i < 8; ++i) {
    EXPECT_EQ(products[query_count * base_count + i], kGuard);
    EXPECT_EQ(squares[base_count + i], kGuard);
  }
  const double share = (dims + 16.0) * 0x1p-24;
  for (std::uint32_t b = 0; b < base_count; ++b) {
    const std::vector<double> stored = stored_values(base, b);
    const double square = inner_product(stored, stored);
    EXPECT_GE(static_cast<double>(squares[b]), square * (1.0 - share));
    if (exact_squares) {
      EXPECT_LE(static_cast<double>(squares[b]), square * (1.0 + share));
    }
    for (std::uint32_t q = 0; q < query_count; ++q) {
      std::vector<double> query(queries.row(q), queries.row(q) + dims);
      if (of_integers) query.assign(integers.begin() + q * dims, integers.begin() + (q + 1) * dims);
      EXPECT_NEAR(products[q * base_count + b], inner_product(query, stored),
                  share * std::sqrt(square * inner_product(query, query)))
          << to_string(base.type) << ' ' << dims << ' ' << query_count << ' ' << base_count;
    }
  }
}

TEST_P(FewQueryLookTest, ProductsOfStoredRowsAreAsNearAsTheySay) {
  for (const ElementType type : kTypes)
    for (const std::uint32_t dims : {1u, 7u, 8u, 9u, 31u, 64u, 133u})
      for (const std::uint32_t base_count : {1u, 2u, 5u}) {
        const StoredMatrix base(tests::random_matrix(base_count, dims, base_count), type);
        for (const std::uint32_t query_count : {1u, 2u, 3u, 4u, 5u, 6u, 7u, 8u, 11u})
          for (const bool exact_squares : {false, true}) check_products(kernel(), base, query_count, exact_squares);
      }
}

// The largest products that there are, of more dimensions than are added exactly.
TEST_P(FewQueryLookTest, SumsOfLargeIntegersDoNotOverflow) {
  for (const ElementType type : {ElementType::kI8, ElementType::kU8})
    for (const std::uint32_t dims : {2048u, 2063u, 5000u}) {
      const int value = type == ElementType::kI8 ? -128 : 255;
      const std::vector<std::byte> base(dims, static_cast<std::byte>(value));
      for (const std::int16_t of_query : {std::int16_t{-32767}, std::int16_t{32767}}) {
        const std::vector<std::int16_t> query(dims, of_query);
        float product = 0.0f, square = 0.0f;
        kernels::multiply_stored_rows_of(kernel(), type)({.queries = nullptr,
                                                          .integer_queries = query.data(),
                                                          .base_rows = base.data(),
                                                          .base_row_stride = dims,
                                                          .dims = dims,
                                                          .query_count = 1,
                                                          .base_count = 1,
                                                          .exact_squares = true,
                                                          .products = &product,
                                                          .squares = &square});
        const double expected = static_cast<double>(dims) * value * of_query;
        EXPECT_NEAR(product, expected, 1e-6 * std::abs(expected)) << to_string(type) << ' ' << dims;
        EXPECT_NEAR(square, static_cast<double>(dims) * value * value, 1e-6 * dims * value * value);
      }
    }
}

TestMatrix as_the_metric_takes(TestMatrix matrix, Metric metric) {
  if (metric != Metric::kCosine) return matrix;
  for (std::uint64_t r = 0; r < matrix.rows; ++r) {
    float* row = matrix.values.data() + r * matrix.columns;
    const double inverse = inverse_norm(row_norm(row, static_cast<std::size_t>(matrix.columns)));
    for (std::uint64_t c = 0; c < matrix.columns; ++c) row[c] = unit_value(row[c], inverse);
  }
  return matrix;
}

using ScoresByPair = std::map<std::uint32_t, std::uint32_t>;

// Each query's threshold is the score of one of its pairs: that pair passes by no more than nothing.
void check_look(const kernels::TileKernel& kernel, Metric metric, const TestMatrix& query_rows,
                const StoredMatrix& base, const std::string& what) {
  const TestMatrix queries = as_the_metric_takes(query_rows, metric);
  const TestMatrix bases = as_the_metric_takes(base.decoded, metric);
  const auto dims = static_cast<std::uint32_t>(queries.columns);
  const auto base_count = static_cast<std::uint32_t>(bases.rows);
  std::vector<double> factors(base_count);
  for (std::uint32_t b = 0; b < base_count; ++b) {
    const double inverse = metric == Metric::kCosine ? inverse_norm(row_norm(base.decoded.row(b), dims)) : 1.0;
    factors[b] = stored_row_factor(base.scales[b], inverse);
  }
  const std::uint32_t first_pair = 5;
  std::vector<float> thresholds(queries.rows);
  ScoresByPair expected;
  for (std::uint32_t q = 0; q < queries.rows; ++q) {
    std::vector<float> scores(base_count);
    for (std::uint32_t b = 0; b < base_count; ++b)
      scores[b] = tests::definition_score(metric, queries.row(q), bases.row(b), dims);
    thresholds[q] = scores[(q * 7) % base_count];
    for (std::uint32_t b = 0; b < base_count; ++b)
      if (metric == Metric::kL2 ? scores[b] <= thresholds[q] : scores[b] >= thresholds[q])
        expected[first_pair + (q << kQueryShift) + b] = std::bit_cast<std::uint32_t>(scores[b] + 0.0f);
  }
  FewQueryLook look(kernel);
  std::vector<std::int16_t> integers(queries.values.size());
  look.set_queries(metric, queries.values.data(), static_cast<std::size_t>(queries.rows), dims, integers.data());
  std::vector<float> room(plan::few_query_room_floats(queries.rows, base_count, dims));
  std::vector<float> scores(queries.rows * base_count + kernels::kSurvivorSlack);
  std::vector<std::uint32_t> pairs(scores.size());
  kernels::Survivors survivors{scores.data(), pairs.data(), 0};
  look.score(
      {base.bytes.data(), base.stride, base.type, factors.data(), base_count}, thresholds.data(), first_pair,
      [&](std::uint32_t row, float* values) { std::copy_n(bases.row(row), dims, values); }, room.data(), survivors);
  ScoresByPair found;
  for (std::uint32_t i = 0; i < survivors.count; ++i)
    found[survivors.pairs[i]] = std::bit_cast<std::uint32_t>(survivors.scores[i] + 0.0f);
  EXPECT_EQ(found.size(), survivors.count) << what << ": a pair came twice";
  EXPECT_EQ(found, expected) << what << ' ' << to_string(metric) << ' ' << to_string(base.type) << ' ' << dims;
}

TestMatrix scaled(TestMatrix matrix, float factor) {
  for (float& value : matrix.values) value *= factor;
  return matrix;
}

TestMatrix shifted(TestMatrix matrix, float by) {
  for (float& value : matrix.values) value += by;
  return matrix;
}

// Copies of one row, each moved by units in the last place.
TestMatrix near_ties(std::uint64_t rows, std::uint64_t columns, unsigned seed) {
  TestMatrix matrix = tests::random_matrix(1, columns, seed);
  matrix.rows = rows;
  matrix.values.resize(rows * columns);
  std::mt19937 random(seed);
  for (std::uint64_t r = 1; r < rows; ++r)
    for (std::uint64_t c = 0; c < columns; ++c) {
      const float value = matrix.values[c];
      matrix.values[r * columns + c] =
          random() % 4 != 0 ? value : std::nextafter(value, value + (random() % 2 ? 1 : -1));
    }
  return matrix;
}

TEST_P(FewQueryLookTest, NoPairIsLostNorAnotherFound) {
  for (const Metric metric : kMetrics)
    for (const ElementType type : kTypes)
      for (const std::uint64_t dims : {1u, 8u, 33u, 200u}) {
        const TestMatrix queries = tests::random_matrix(13, dims, 1);
        check_look(kernel(), metric, queries, {tests::random_matrix(150, dims, 2), type}, "random");
        check_look(kernel(), metric, near_ties(13, dims, 3), {near_ties(150, dims, 3), type}, "near ties");
        check_look(kernel(), metric, shifted(queries, 100.0f),
                   {shifted(tests::random_matrix(150, dims, 2), 100.0f), type}, "far from the origin");
      }
}

// A query of which rounding to integers leaves out as much as it can beside its norm, and base rows that lie along
// that.
TEST_P(FewQueryLookTest, NoPairIsLostToAQuerysRounding) {
  constexpr std::uint64_t kDims = 200;
  for (const Metric metric : kMetrics)
    for (unsigned seed = 1; seed <= 5; ++seed) {
      TestMatrix query = scaled(tests::random_matrix(1, kDims, seed), 0.1f);
      query.values[0] = 14.0f;
      query = as_the_metric_takes(query, metric);
      const double unit = static_cast<double>(query.values[0] / kernels::kLargestQueryInteger);
      TestMatrix base = query;
      for (float& value : base.values) {
        const double integers = static_cast<double>(value) / unit;
        value = integers >= std::nearbyint(integers) ? 1.0f : -1.0f;
      }
      check_look(kernel(), metric, query, {base, ElementType::kI8}, "along what rounding leaves out");
    }
}

// Beyond what the margin takes, and where products overflow or vanish; of f16 what it holds at most and at least.
TEST_P(FewQueryLookTest, NoPairOfHugeOrTinyRowsIsLost) {
  for (const Metric metric : kMetrics)
    for (const float of_queries : {1e-30f, 1e-14f, 1.0f, 1e14f, 1e17f})
      for (const ElementType type : {ElementType::kF32, ElementType::kF16, ElementType::kBF16, ElementType::kI8})
        for (const float of_bases : {1e-38f, 1e-30f, 1e-14f, 1e-7f, 1e4f, 1e14f, 1e17f, 1e19f}) {
          if (type == ElementType::kF16 && of_bases > 1e4f) continue;
          const TestMatrix queries = scaled(tests::random_matrix(9, 40, 1), of_queries);
          check_look(kernel(), metric, queries, {scaled(tests::random_matrix(60, 40, 2), of_bases), type},
                     std::to_string(of_queries) + " " + std::to_string(of_bases));
        }
}

// As no writer gives them, but a file may: scales whose products with values overflow, or that change signs.
TEST_P(FewQueryLookTest, NoPairIsLostToAScale) {
  for (const Metric metric : kMetrics)
    for (const float scale : {1e38f, -1.0f, 0.0f}) {
      StoredMatrix base(tests::random_matrix(60, 40, 2), ElementType::kI8);
      std::fill_n(base.bytes.begin(), base.stride, std::byte{0});
      std::fill(base.scales.begin(), base.scales.end(), scale);
      for (std::uint64_t r = 0; r < base.decoded.rows; ++r)
        storage::decode_row(base.type, base.bytes.data() + r * base.stride, 40, scale,
                            base.decoded.values.data() + r * 40);
      TestMatrix queries = tests::random_matrix(9, 40, 1);
      for (float& value : queries.values) value = std::abs(value);
      check_look(kernel(), metric, queries, base, "scale " + std::to_string(scale));
    }
}

// Norms that are not the rows': a cosine's factor may be one that binary32 does not hold, or may hide an overflow.
TEST_P(FewQueryLookTest, NoPairIsLostToANormThatIsNotTheRows) {
  const TestMatrix query = tests::random_matrix(1, 40, 1);
  const StoredMatrix base(scaled(query, 1e14f), ElementType::kF32);
  const std::vector<double> factors{1e-50};
  std::vector<float> thresholds{1e-40f}, room(plan::few_query_room_floats(1, 1, 40));  // its score is about 4e-35
  std::vector<float> scores(1 + kernels::kSurvivorSlack);
  std::vector<std::uint32_t> pairs(scores.size());
  kernels::Survivors survivors{scores.data(), pairs.data(), 0};
  FewQueryLook look(kernel());
  look.set_queries(Metric::kInnerProduct, query.values.data(), 1, 40, nullptr);
  EXPECT_EQ(look.score(
                {base.bytes.data(), base.stride, base.type, factors.data(), 1}, thresholds.data(), 0,
                [&](std::uint32_t, float* values) {
                  for (std::uint32_t d = 0; d < 40; ++d) values[d] = unit_value(base.decoded.values[d], factors[0]);
                },
                room.data(), survivors),
            1u);
  EXPECT_TRUE(std::isnan(stored_row_factor(1e38f, 1e-40)));
  EXPECT_TRUE(std::isnan(stored_row_factor(-1.0f, 1.0)));
}

// The share that roundings may take is none where there are as many as a significand has values.
TEST(ScreenMargin, IsOfNoUseForRowsTooLong) {
  for (const std::uint64_t dims : {8u, 4096u, 100'000u}) EXPECT_TRUE(ScreenMargin::of_whole_rows(dims).is_usable());
  for (const std::uint64_t dims : {500'000u, (1u << 24) - 64u, (1u << 24) - 20u, 1u << 24, 20'000'000u, ~0u})
    EXPECT_FALSE(ScreenMargin::of_whole_rows(dims).is_usable()) << dims;
}

TEST_P(FewQueryLookTest, LeavesFewPairsOfRandomRows) {
  const TestMatrix queries = tests::random_matrix(16, 256, 1);
  const StoredMatrix base(tests::random_matrix(1000, 256, 2), ElementType::kF32);
  std::vector<double> factors(1000, 1.0);
  std::vector<float> thresholds(16, 3.0f * 16.0f);  // three standard deviations
  std::vector<float> room(plan::few_query_room_floats(16, 1000, 256)), scores(16'000 + kernels::kSurvivorSlack);
  std::vector<std::uint32_t> pairs(scores.size());
  kernels::Survivors survivors{scores.data(), pairs.data(), 0};
  FewQueryLook look(kernel());
  std::vector<std::int16_t> integers(queries.values.size());
  look.set_queries(Metric::kInnerProduct, queries.values.data(), 16, 256, integers.data());
  const std::uint32_t scored = look.score(
      {base.bytes.data(), base.stride, base.type, factors.data(), 1000}, thresholds.data(), 0,
      [&](std::uint32_t row, float* values) { std::copy_n(base.decoded.row(row), 256, values); }, room.data(),
      survivors);
  EXPECT_LT(scored, survivors.count + survivors.count / 10 + 20);  // of which zero rows
  EXPECT_LT(scored, 1000u);
}

TEST(LookPace, WaitsLongerAfterEachFailureAndNotAfterASuccess) {
  LookPace pace;
  const auto looks_after = [&] {
    int pieces = 0;
    while (!pace.looks()) ++pieces;
    return pieces;
  };
  EXPECT_EQ(looks_after(), 0);
  for (const int waited : {1, 3, 7, 15, 31, 63, 63}) {
    pace.on_look(11, 100);
    EXPECT_EQ(looks_after(), waited);
  }
  pace.on_look(10, 100);
  EXPECT_EQ(looks_after(), 0);
}

std::vector<Isa> supported_sets() {
  std::vector<Isa> sets;
  for (const Isa isa : {Isa::kScalar, Isa::kAvx2, Isa::kAvx512})
    if (kernels::is_supported(isa)) sets.push_back(isa);
  return sets;
}

INSTANTIATE_TEST_SUITE_P(InstructionSets, FewQueryLookTest, testing::ValuesIn(supported_sets()),
                         [](const auto& isa) { return std::string(to_string(isa.param)); });

}  // namespace
}  // namespace simtile::screen
