// Generated matrices: the same bits everywhere, row by row, and the distributions that they claim.
#include <gmock/gmock.h>

#include <cmath>

#include "engine/formats/counter_random.h"
#include "engine/formats/zipf.h"
#include "simtile/import.h"
#include "simtile/matrix.h"
#include "tests/import_files.h"

namespace simtile {
namespace {

using testing::ElementsAre;
using tests::row_of;
using tests::TempFolder;

Matrix generate(const TempFolder& folder, const GenerateOptions& options) {
  generate_matrix(folder / "a.emb", options);
  return Matrix(folder / "a.emb");
}

TEST(Generate, GivesTheSameBitsOnEveryMachine) {
  const TempFolder folder;
  const Matrix gaussian = generate(folder, {.rows = 2, .dims = 3, .seed = 1});
  EXPECT_THAT(row_of(gaussian, 0), ElementsAre(0x1.7efap-1f, -0x1.db6p-3f, -0x1.4aaap-1f));
  EXPECT_THAT(row_of(gaussian, 1), ElementsAre(-0x1.be9cp-2f, -0x1.b2d4p-2f, -0x1.61e6p+0f));
  const formats::CounterRandom random(1, 4, 0);
  EXPECT_EQ(random.bits(0), 0x6ac8207f3cc39712u);
  const formats::ZipfLaw law(1000000, 1.1);
  EXPECT_EQ(law.column(0.9), 73601u);
  EXPECT_EQ(law.column(0.999), 970672u);
}

TEST(Generate, MakesEachRowOnItsOwn) {
  const TempFolder folder;
  for (const auto kind :
       {GenerateOptions::Kind::kGaussian, GenerateOptions::Kind::kClustered, GenerateOptions::Kind::kSparse}) {
    GenerateOptions options{.kind = kind, .rows = 50, .dims = 60, .clusters = 5, .nonzeros_per_row = 10};
    const Matrix few = generate(folder, options);
    options.rows = 500;
    const Matrix many = generate(folder, options);
    options.seed = 2;
    const Matrix other = generate(folder, options);
    for (std::uint64_t row = 0; row < 50; ++row) ASSERT_EQ(row_of(few, row), row_of(many, row));
    EXPECT_NE(row_of(many, 0), row_of(many, 1));
    EXPECT_NE(row_of(many, 0), row_of(other, 0));
  }
}

TEST(Generate, GaussianHasMeanZeroAndVarianceOne) {
  const TempFolder folder;
  const Matrix matrix = generate(folder, {.rows = 500, .dims = 400});
  double sum = 0, squares = 0, neighbours = 0;
  for (std::uint64_t row = 0; row < 500; ++row) {
    const std::vector<float> values = row_of(matrix, row);
    for (std::size_t c = 0; c < values.size(); ++c) {
      sum += values[c];
      squares += values[c] * values[c];
      neighbours += c > 0 ? values[c] * values[c - 1] : 0;
    }
  }
  constexpr double kCount = 500 * 400;  // one standard error is 0.0022
  EXPECT_NEAR(sum / kCount, 0, 0.01);
  EXPECT_NEAR(squares / kCount, 1, 0.015);
  EXPECT_NEAR(neighbours / kCount, 0, 0.01);
}

TEST(Generate, ClusteredRowsLieAroundTheirCentres) {
  const TempFolder folder;
  constexpr double kDims = 256, kSpread = 0.1;
  const Matrix matrix = generate(
      folder,
      {.kind = GenerateOptions::Kind::kClustered, .rows = 60, .dims = 256, .clusters = 3, .cluster_spread = kSpread});
  // Between rows of a cluster sqrt(2) times the spread; between clusters about one; in units of sqrt(2 dims).
  int near = 0, far = 0;
  for (std::uint64_t a = 0; a < 60; ++a)
    for (std::uint64_t b = a + 1; b < 60; ++b) {
      const std::vector<float> x = row_of(matrix, a), y = row_of(matrix, b);
      double squares = 0;
      for (std::size_t c = 0; c < x.size(); ++c) squares += (x[c] - y[c]) * (x[c] - y[c]);
      const double distance = std::sqrt(squares / (2 * kDims));
      if (distance < 0.5) {
        ++near;
        EXPECT_NEAR(distance, kSpread * std::sqrt(2.0), 0.03);
      } else {
        ++far;
        EXPECT_NEAR(distance, 1.0, 0.25);
      }
    }
  EXPECT_GT(near, 300);
  EXPECT_GT(far, 300);
}

TEST(Generate, SparseRowsHaveAboutAsManyNonzerosAsAskedFor) {
  const TempFolder folder;
  const GenerateOptions options{
      .kind = GenerateOptions::Kind::kSparse, .rows = 2000, .dims = 3000, .nonzeros_per_row = 40};
  const ImportSummary summary = generate_matrix(folder / "a.emb", options);
  EXPECT_TRUE(summary.sparse);
  EXPECT_NEAR(static_cast<double>(summary.nonzeros) / 2000, 40, 1.5);
  const Matrix matrix(folder / "a.emb");
  EXPECT_EQ(matrix.info().nonzeros, summary.nonzeros);
  std::vector<int> rows_with(3000);
  for (std::uint64_t row = 0; row < 2000; ++row) {
    const std::vector<float> values = row_of(matrix, row);
    for (std::size_t c = 0; c < values.size(); ++c) {
      ASSERT_TRUE(values[c] >= 0 && values[c] <= 1);
      rows_with[c] += values[c] > 0;
    }
  }
  EXPECT_GT(rows_with[0], 1800) << "the first column is the most frequent";
  EXPECT_GT(rows_with[10], 5 * rows_with[1000]);
}

TEST(Generate, FitsEveryElementType) {
  const TempFolder folder;
  for (const ElementType type :
       {ElementType::kF32, ElementType::kF16, ElementType::kBF16, ElementType::kI8, ElementType::kU8}) {
    const Matrix matrix = generate(folder, {.rows = 20, .dims = 100, .element_type = type});
    EXPECT_EQ(matrix.info().element_type, type);
    EXPECT_NE(row_of(matrix, 0), row_of(matrix, 1));
  }
}

TEST(Generate, RefusesOptionsThatMakeNoSense) {
  const TempFolder folder;
  const auto refuse = [&](const GenerateOptions& options) {
    tests::expect_error(ErrorCode::kInvalidArgument, [&] { generate_matrix(folder / "a.emb", options); });
  };
  using Kind = GenerateOptions::Kind;
  refuse({.rows = 0, .dims = 3});
  refuse({.rows = 3, .dims = 0});
  refuse({.rows = 3, .dims = std::uint64_t{1} << 40});
  refuse({.kind = Kind::kClustered, .rows = 3, .dims = 3, .cluster_spread = -1});
  refuse({.kind = Kind::kClustered, .rows = 3, .dims = 3, .cluster_spread = std::nan("")});
  refuse({.kind = Kind::kSparse, .rows = 3, .dims = 30});  // 40 non-zeros a row
  refuse({.kind = Kind::kSparse, .rows = 3, .dims = 30, .element_type = ElementType::kF16, .nonzeros_per_row = 3});
  refuse({.kind = Kind::kSparse, .rows = 3, .dims = 30, .nonzeros_per_row = 3, .zipf_exponent = 9});
}

TEST(PortableMath, AgreesWithTheSystems) {
  for (double x = 1e-300; x < 1e300; x *= 3.7) {
    EXPECT_NEAR(formats::portable_log(x), std::log(x), 4e-16 * std::max(1.0, std::fabs(std::log(x)))) << x;
    const double y = std::log(x);
    EXPECT_NEAR(formats::portable_exp(y) / std::exp(y), 1.0, 3e-13) << y;
  }
  EXPECT_EQ(formats::portable_log(1.0), 0.0);
  EXPECT_EQ(formats::portable_exp(0.0), 1.0);
}

TEST(ZipfLaw, FollowsItsDistributionFunction) {
  constexpr std::uint64_t kColumns = 1000;
  for (const double exponent : {0.0, 0.5, 1.0, 1.5, 3.0}) {
    const formats::ZipfLaw law(kColumns, exponent);
    const auto integral = [&](double end) {  // of x^-exponent from 1
      return exponent == 1.0 ? std::log(end) : (std::pow(end, 1 - exponent) - 1) / (1 - exponent);
    };
    constexpr int kDraws = 100000;
    std::vector<int> counts(kColumns);
    for (int i = 0; i < kDraws; ++i) ++counts[law.column((i + 0.5) / kDraws)];
    for (std::uint64_t c = 0; c < kColumns; ++c) {
      const double begin = static_cast<double>(c) + 1;
      const double expected = (integral(begin + 1) - integral(begin)) / integral(kColumns + 1) * kDraws;
      ASSERT_NEAR(counts[c], expected, 1.01) << "column " << c << ", exponent " << exponent;
    }
    EXPECT_EQ(law.column(0.0), 0u);
    EXPECT_EQ(law.column(0x1.fffffffffffffp-1), kColumns - 1);
  }
}

}  // namespace
}  // namespace simtile
