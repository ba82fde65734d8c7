// The first look of a screen, on every unit that this processor has: a bound is never below its pair's product, nor
// above it by more than the kernel says, and the pairs whose bound passes are found.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <random>

#include "engine/kernels/tile_kernel.h"
#include "tests/job_oracle.h"

namespace simtile::kernels {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kLowest = -std::numeric_limits<float>::infinity();

std::vector<const ScreenKernel*> kernels_here() {
  std::vector<const ScreenKernel*> kernels;
  for (const Isa isa : {Isa::kScalar, Isa::kAvx2, Isa::kAvx512})
    if (is_supported(isa)) kernels.push_back(&select_kernel(isa).screen);
  if (has_bfloat16_products()) kernels.push_back(&kAvx512Bf16Screen);
  if (has_matrix_unit()) kernels.push_back(&kAmxScreen);
  return kernels;
}

using BoundsByPair = std::map<std::uint32_t, float>;

// A query panel against base rows, packed; padding is NaN where a kernel must not look.
class PackedStrip {
 public:
  PackedStrip(const ScreenKernel& kernel, const tests::TestMatrix& queries, const tests::TestMatrix& bases)
      : kernel_(kernel),
        dims_(static_cast<std::uint32_t>(queries.columns)),
        query_rows_(static_cast<std::uint32_t>(queries.rows)),
        base_rows_(static_cast<std::uint32_t>(bases.rows)),
        panels_((base_rows_ + kernel.base_width - 1) / kernel.base_width),
        query_panel_(kernel.query_width * kernel.floats_of_row(dims_), kNan),
        base_panels_(panels_ * kernel.base_width * kernel.floats_of_row(dims_), kNan) {
    kernel.pack_query_panel(queries.values.data(), dims_, query_rows_, dims_, query_panel_.data());
    for (std::uint32_t p = 0; p < panels_; ++p)
      kernel.pack_base_panel(bases.row(p * kernel.base_width), dims_,
                             std::min(kernel.base_width, base_rows_ - p * kernel.base_width), dims_,
                             base_panels_.data() + p * kernel.base_width * kernel.floats_of_row(dims_));
  }

  BoundsByPair screen(std::vector<float> query_thresholds, std::vector<float> base_thresholds) const {
    return run(kernel_.inner_product, query_thresholds, base_thresholds, {}, {});
  }
  BoundsByPair screen_l2(std::vector<float> query_thresholds, std::vector<float> base_thresholds,
                         std::vector<float> query_offsets, std::vector<float> base_offsets) const {
    return run(kernel_.squared_l2, query_thresholds, base_thresholds, query_offsets, base_offsets);
  }
  // Every pair's bound, two ways.
  BoundsByPair stored() const {
    const std::size_t stride = panels_ * std::size_t{kernel_.base_width} + 7;
    std::vector<float> scores(kernel_.query_width * stride, kNan);
    std::vector<float> partial(scores.size());
    kernel_.store_bounds(strip_with(partial), scores.data(), stride);
    BoundsByPair bounds;
    for (std::uint32_t q = 0; q < query_rows_; ++q)
      for (std::uint32_t b = 0; b < base_rows_; ++b) bounds[(q << kQueryShift) + b] = scores[q * stride + b];
    return bounds;
  }
  // Of the strips from now on.
  void set_stops(ScreenStops* stops) { stops_ = stops; }
  BoundsByPair all() const {
    return screen(std::vector<float>(query_rows_, kLowest), std::vector<float>(base_rows_, kLowest));
  }

 private:
  Strip strip_with(std::vector<float>& partial) const {
    Strip strip{};
    strip.query_panel = query_panel_.data();
    strip.base_panels = base_panels_.data();
    strip.partial_scores = partial.data();
    strip.dims = dims_;
    strip.query_rows = query_rows_;
    strip.base_panel_count = panels_;
    return strip;
  }
  BoundsByPair run(ScreenStrip screen_strip, std::vector<float> query_thresholds, std::vector<float> base_thresholds,
                   std::vector<float> query_offsets, std::vector<float> base_offsets) const {
    const std::uint32_t padded = panels_ * kernel_.base_width;
    query_thresholds.resize(kernel_.query_width, std::numeric_limits<float>::infinity());
    query_offsets.resize(kernel_.query_width, 0.0f);
    base_thresholds.resize(padded, kNan);
    base_offsets.resize(padded, kNan);
    std::vector<float> partial(std::size_t{kernel_.query_width} * padded);
    std::vector<float> scores(partial.size() + kSurvivorSlack);
    std::vector<std::uint32_t> pairs(scores.size());
    Strip strip = strip_with(partial);
    strip.query_thresholds = query_thresholds.data();
    strip.base_thresholds = base_thresholds.data();
    strip.query_offsets = query_offsets.data();
    strip.base_offsets = base_offsets.data();
    strip.stops = stops_;
    Survivors found{scores.data(), pairs.data(), 0};
    screen_strip(strip, found);
    BoundsByPair bounds;
    for (std::uint32_t i = 0; i < found.count; ++i) bounds[pairs[i]] = scores[i];
    EXPECT_EQ(bounds.size(), found.count) << "a pair came twice";
    return bounds;
  }

  const ScreenKernel& kernel_;
  std::uint32_t dims_, query_rows_, base_rows_, panels_;
  std::vector<float> query_panel_, base_panels_;
  ScreenStops* stops_ = nullptr;
};

struct Exact {
  double product = 0.0, query_norm = 0.0, base_norm = 0.0;
};
Exact exact(const float* query, const float* base, std::uint64_t dims) {
  Exact sums;
  for (std::uint64_t d = 0; d < dims; ++d) {
    sums.product += static_cast<double>(query[d]) * static_cast<double>(base[d]);
    sums.query_norm += static_cast<double>(query[d]) * static_cast<double>(query[d]);
    sums.base_norm += static_cast<double>(base[d]) * static_cast<double>(base[d]);
  }
  return {sums.product, std::sqrt(sums.query_norm), std::sqrt(sums.base_norm)};
}

class ScreenKernelTest : public ::testing::TestWithParam<const ScreenKernel*> {
 protected:
  const ScreenKernel& kernel() const { return *GetParam(); }
  void expect_bounds(const tests::TestMatrix& queries, const tests::TestMatrix& bases) const {
    const BoundsByPair bounds = PackedStrip(kernel(), queries, bases).all();
    ASSERT_EQ(bounds.size(), queries.rows * bases.rows);
    EXPECT_EQ(PackedStrip(kernel(), queries, bases).stored(), bounds);
    for (const auto& [pair, bound] : bounds) {
      const std::uint32_t q = pair >> kQueryShift;
      const std::uint32_t b = pair & ((1u << kQueryShift) - 1);
      const Exact pair_exact = exact(queries.row(q), bases.row(b), queries.columns);
      const double norms = pair_exact.query_norm * pair_exact.base_norm;
      const double rounding = static_cast<double>(queries.columns + 4) * 0x1p-23 * norms;
      EXPECT_GE(static_cast<double>(bound), pair_exact.product - rounding) << q << ", " << b;
      // A looseness is what rows usually have; the most is about five times as much.
      const double most = 5.0 * kernel().looseness * norms + 1e-19 * (pair_exact.query_norm + pair_exact.base_norm);
      EXPECT_LE(static_cast<double>(bound), pair_exact.product + rounding + most + 1e-30) << q << ", " << b;
    }
  }
};

TEST_P(ScreenKernelTest, BoundsAreNotBelowTheProductsNorFarAbove) {
  unsigned seed = 1;
  for (const std::uint64_t dims : {1u, 3u, 18u, 29u, 30u, 31u, 50u, 146u, 258u, 400u, 510u, 511u, 1000u})
    for (const std::uint64_t base_rows : {1u, 33u, 70u})
      for (const std::uint32_t query_rows : {1u, kernel().query_width - 1, kernel().query_width}) {
        expect_bounds(tests::random_matrix(query_rows, dims, seed), tests::random_matrix(base_rows, dims, seed + 1));
        seed += 2;
      }
}

// From the longest rows that are screened to the shortest, and coordinates that are nothing beside the others.
TEST_P(ScreenKernelTest, BoundsHoldForRowsOfEveryLength) {
  std::mt19937 random(3);
  std::uniform_real_distribution<float> exponent(-12.0f, 14.0f);
  std::uniform_real_distribution<float> smaller(-44.0f, 0.0f);
  tests::TestMatrix queries = tests::random_matrix(kernel().query_width, 66, 5);
  tests::TestMatrix bases = tests::random_matrix(64, 66, 6);
  for (tests::TestMatrix* matrix : {&queries, &bases})
    for (std::uint64_t r = 0; r < matrix->rows; ++r) {
      const float scale = std::pow(10.0f, exponent(random));
      for (std::uint64_t d = 0; d < 66; ++d) {
        float& value = matrix->values[r * 66 + d];
        value *= d % 3 == 2 ? std::max(scale * std::pow(10.0f, smaller(random)), 1e-45f) : scale;
      }
    }
  std::fill_n(bases.values.begin(), 66, 0.0f);
  expect_bounds(queries, bases);
}

TEST_P(ScreenKernelTest, FindsThePairsWhoseBoundPassesForEitherRow) {
  const tests::TestMatrix queries = tests::random_matrix(kernel().query_width - 1, 50, 7);
  const tests::TestMatrix bases = tests::random_matrix(75, 50, 8);
  const PackedStrip strip(kernel(), queries, bases);
  const BoundsByPair all = strip.all();
  std::mt19937 random(9);
  std::normal_distribution<float> normal(10.0f, 4.0f);
  std::vector<float> query_thresholds(queries.rows), base_thresholds(bases.rows), query_offsets(queries.rows),
      base_offsets(bases.rows);
  for (auto* values : {&query_thresholds, &base_thresholds, &query_offsets, &base_offsets})
    for (float& value : *values) value = normal(random);
  BoundsByPair passing, passing_l2;
  for (const auto& [pair, bound] : all) {
    const std::uint32_t q = pair >> kQueryShift;
    const std::uint32_t b = pair & ((1u << kQueryShift) - 1);
    if (bound >= query_thresholds[q] || bound >= base_thresholds[b]) passing[pair] = bound;
    if (bound >= query_thresholds[q] + base_offsets[b] || bound >= query_offsets[q] + base_thresholds[b])
      passing_l2[pair] = bound;
  }
  EXPECT_GT(passing.size(), 0u);
  EXPECT_LT(passing_l2.size(), passing.size());
  EXPECT_EQ(strip.screen(query_thresholds, base_thresholds), passing);
  EXPECT_EQ(strip.screen_l2(query_thresholds, base_thresholds, query_offsets, base_offsets), passing_l2);
}

// Rows whose coordinates fall off, and what stands at the stops: the norm of the coordinates behind, a little enlarged.
class RowsWithStops {
 public:
  static constexpr std::uint32_t kDims = 70;
  static constexpr std::uint32_t kStops[] = {16, 32, 64};

  RowsWithStops(std::uint64_t rows, unsigned seed)
      : plain_(tests::random_matrix(rows, kDims, seed)), with_stops_{rows, kDims + 3, {}} {
    for (std::uint64_t r = 0; r < rows; ++r) {
      float* row = plain_.values.data() + r * kDims;
      for (std::uint32_t d = 0; d < kDims; ++d) {
        if (std::count(std::begin(kStops), std::end(kStops), d) != 0) with_stops_.values.push_back(rest(row, d));
        with_stops_.values.push_back(row[d] *= std::pow(0.9f, static_cast<float>(d)));
      }
    }
  }
  const tests::TestMatrix& plain() const { return plain_; }
  const tests::TestMatrix& with_stops() const { return with_stops_; }

 private:
  // Of coordinates that are not made smaller yet.
  static float rest(const float* row, std::uint32_t first) {
    double squares = 0.0;
    for (std::uint32_t d = first; d < kDims; ++d)
      squares += std::pow(static_cast<double>(row[d]) * std::pow(0.9, static_cast<double>(d)), 2.0);
    return static_cast<float>(std::sqrt(squares) * 1.0001);
  }
  tests::TestMatrix plain_, with_stops_;
};

class StoppingKernelTest : public ScreenKernelTest {};

TEST_P(StoppingKernelTest, EndsBlocksAtStopsAndLosesNoPair) {
  const RowsWithStops queries(kernel().query_width - 1, 11), bases(200, 12);
  const PackedStrip plain(kernel(), queries.plain(), bases.plain());
  PackedStrip stopping(kernel(), queries.with_stops(), bases.with_stops());
  for (const std::uint32_t tested : {0u, 1u, 2u, 7u})
    for (const float threshold : {-10.0f, 3.0f, 9.0f, 1000.0f}) {
      ScreenStops stops{.count = 3, .dims = {16, 33, 66}, .tested = tested};
      stopping.set_stops(&stops);
      const std::vector<float> for_queries(kernel().query_width - 1, threshold), for_bases(200, threshold + 1.0f);
      EXPECT_EQ(stopping.screen(for_queries, for_bases), plain.screen(for_queries, for_bases));
      const std::uint64_t ended = stops.ended[0] + stops.ended[1] + stops.ended[2];
      EXPECT_EQ(stops.blocks, (200 + kernel().base_width - 1) / kernel().base_width);
      if (tested == 0 || threshold < 0.0f) {
        EXPECT_EQ(ended, 0u);
      }
      if (tested != 0 && threshold > 100.0f) {
        EXPECT_EQ(ended, stops.blocks);
      }
      const std::vector<float> query_parts(kernel().query_width - 1, 0.5f), base_parts(200, -0.5f);
      EXPECT_EQ(stopping.screen_l2(for_queries, for_bases, query_parts, base_parts),
                plain.screen_l2(for_queries, for_bases, query_parts, base_parts));
    }
}

INSTANTIATE_TEST_SUITE_P(Units, ScreenKernelTest, ::testing::ValuesIn(kernels_here()),
                         [](const auto& unit) { return std::string(unit.param->name); });

std::vector<const ScreenKernel*> stopping_kernels_here() {
  std::vector<const ScreenKernel*> kernels = kernels_here();
  std::erase_if(kernels, [](const ScreenKernel* kernel) { return !kernel->stops_early; });
  return kernels;
}
INSTANTIATE_TEST_SUITE_P(Units, StoppingKernelTest, ::testing::ValuesIn(stopping_kernels_here()),
                         [](const auto& unit) { return std::string(unit.param->name); });

TEST(SelectScreenKernel, TakesTheMatrixUnitOrBfloat16UnlessASetIsNamed) {
  const std::string own = select_kernel(Isa::kAuto).screen.name;
  EXPECT_EQ(select_screen_kernel(Isa::kAuto).name, has_matrix_unit() ? "amx" : own);
  EXPECT_EQ(select_look_kernel(Isa::kAuto).name, has_matrix_unit()         ? "amx"
                                                 : has_bfloat16_products() ? "avx512_bf16"
                                                                           : own);
  for (const ScreenKernel* kernel : {&select_screen_kernel(Isa::kScalar), &select_look_kernel(Isa::kScalar)})
    EXPECT_STREQ(kernel->name, "scalar");
}

}  // namespace
}  // namespace simtile::kernels
