// Every instruction set against the definition, bit for bit, edges included.
#include "engine/kernels/tile_kernel.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <map>
#include <random>
#include <vector>

#include "engine/kernels/block_kernel.h"
#include "simtile/error.h"
#include "tests/job_oracle.h"

namespace simtile::kernels {
namespace {

std::vector<Isa> supported_sets() {
  std::vector<Isa> sets;
  for (const Isa isa : {Isa::kScalar, Isa::kAvx2, Isa::kAvx512})
    if (is_supported(isa)) sets.push_back(isa);
  return sets;
}

class TileKernelTest : public ::testing::TestWithParam<Isa> {
 protected:
  const TileKernel& kernel() const { return select_kernel(GetParam()); }
};

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

// Both lists of survivors of one strip, with room for all of its pairs.
class StripSurvivors {
 public:
  explicit StripSurvivors(std::size_t pairs)
      : scores_(2 * (pairs + kSurvivorSlack)),
        pairs_(scores_.size()),
        for_queries{scores_.data(), pairs_.data(), 0},
        for_bases{scores_.data() + pairs + kSurvivorSlack, pairs_.data() + pairs + kSurvivorSlack, 0} {}

  void score(ScoreStrip score_strip, const Strip& strip) { score_strip(strip, for_queries, for_bases); }

 private:
  std::vector<float> scores_;
  std::vector<std::uint32_t> pairs_;

 public:
  Survivors for_queries;
  Survivors for_bases;
};

// The scores' bits by pair number.
using ScoresByPair = std::map<std::uint32_t, std::uint32_t>;
ScoresByPair by_pair(const Survivors& survivors) {
  ScoresByPair found;
  for (std::uint32_t i = 0; i < survivors.count; ++i)
    found[survivors.pairs[i]] = std::bit_cast<std::uint32_t>(survivors.scores[i]);
  EXPECT_EQ(found.size(), survivors.count) << "a pair came twice";
  return found;
}

// One strip over random rows, with thresholds that let about a third of the pairs through.
void check_strip(const TileKernel& kernel, Metric metric, std::uint32_t query_rows, std::uint32_t base_rows,
                 std::uint32_t dims, unsigned seed) {
  const tests::TestMatrix queries = tests::random_matrix(query_rows, dims, seed);
  const tests::TestMatrix bases = tests::random_matrix(base_rows, dims, seed + 1);
  const std::uint32_t panels = (base_rows + kernel.base_width - 1) / kernel.base_width;
  const std::uint32_t padded = panels * kernel.base_width;
  std::vector<float> query_panel(kernel.query_width * dims, kNan);
  std::vector<float> base_panels(std::size_t{padded} * dims, kNan);
  kernel.pack_query_panel(queries.values.data(), dims, query_rows, dims, query_panel.data());
  for (std::uint32_t p = 0; p < panels; ++p)
    kernel.pack_base_panel(bases.row(p * kernel.base_width), dims,
                           std::min(kernel.base_width, base_rows - p * kernel.base_width), dims,
                           base_panels.data() + std::size_t{p} * kernel.base_width * dims);
  std::mt19937 random(seed + 2);
  const bool l2 = metric == Metric::kL2;
  const float middle = l2 ? 2.0f * static_cast<float>(dims) : 0.0f;
  const float spread = 2.0f * std::sqrt(static_cast<float>(dims));
  std::normal_distribution<float> threshold(l2 ? middle - spread : spread, spread / 4);
  std::vector<float> query_thresholds(kernel.query_width);
  std::vector<float> base_thresholds(padded, kNan);
  for (float& t : query_thresholds) t = threshold(random);
  for (std::uint32_t b = 0; b < base_rows; ++b) base_thresholds[b] = threshold(random);

  std::vector<float> partial(kernel.query_width * padded);
  StripSurvivors survivors(kernel.query_width * padded);
  const std::uint32_t first_pair = (7u << kQueryShift) + 96;
  const Strip strip{query_panel.data(),
                    base_panels.data(),
                    query_thresholds.data(),
                    base_thresholds.data(),
                    partial.data(),
                    dims,
                    query_rows,
                    panels,
                    first_pair};
  survivors.score(l2 ? kernel.squared_l2 : kernel.inner_product, strip);

  ScoresByPair expected_for_queries, expected_for_bases;
  for (std::uint32_t q = 0; q < query_rows; ++q)
    for (std::uint32_t b = 0; b < base_rows; ++b) {
      float score = 0.0f;
      for (std::uint32_t d = 0; d < dims; ++d) {
        const float difference = queries.row(q)[d] - bases.row(b)[d];
        score = l2 ? std::fma(difference, difference, score) : std::fma(queries.row(q)[d], bases.row(b)[d], score);
      }
      const auto passes = [&](float of_row) { return l2 ? score <= of_row : score >= of_row; };
      const std::uint32_t pair = first_pair + (q << kQueryShift) + b;
      if (passes(query_thresholds[q])) expected_for_queries[pair] = std::bit_cast<std::uint32_t>(score);
      if (passes(base_thresholds[b])) expected_for_bases[pair] = std::bit_cast<std::uint32_t>(score);
    }
  EXPECT_EQ(by_pair(survivors.for_queries), expected_for_queries) << query_rows << " x " << base_rows << " x " << dims;
  EXPECT_EQ(by_pair(survivors.for_bases), expected_for_bases) << query_rows << " x " << base_rows << " x " << dims;
  if (l2) return;

  survivors.for_queries.count = 0;
  kernel.screen.inner_product(strip, survivors.for_queries);
  expected_for_queries.merge(expected_for_bases);
  EXPECT_EQ(by_pair(survivors.for_queries), expected_for_queries) << query_rows << " x " << base_rows << " x " << dims;
  const std::size_t stride = padded + 3;
  std::vector<float> stored(kernel.query_width * stride, kNan);
  kernel.store_inner_products(strip, stored.data(), stride);
  for (std::uint32_t q = 0; q < query_rows; ++q)
    for (std::uint32_t b = 0; b < base_rows; ++b)
      EXPECT_EQ(stored[q * stride + b],
                tests::definition_score(Metric::kInnerProduct, queries.row(q), bases.row(b), dims));
}

TEST_P(TileKernelTest, PanelsHoldRowsByDimensionAndNothingBehind) {
  struct Panel {
    std::uint32_t width;
    PackPanel pack;
  };
  for (const Panel& panel :
       {Panel{kernel().query_width, kernel().pack_query_panel}, Panel{kernel().base_width, kernel().pack_base_panel},
        Panel{kernel().row_query_width, kernel().pack_row_query_panel}})
    for (std::uint32_t dims = 1; dims <= 40; ++dims)
      for (const std::uint32_t rows : {1u, panel.width - 1, panel.width}) {
        const std::uint32_t stride = dims + 3;
        const tests::TestMatrix matrix = tests::random_matrix(rows, stride, dims);
        std::vector<float> packed(panel.width * dims + 32, -7.0f);
        std::vector<float> expected = packed;
        for (std::uint32_t d = 0; d < dims; ++d)
          for (std::uint32_t r = 0; r < panel.width; ++r)
            expected[d * panel.width + r] = r < rows ? matrix.row(r)[d] : 0.0f;
        panel.pack(matrix.values.data(), stride, rows, dims, packed.data());
        EXPECT_EQ(packed, expected) << rows << " of " << panel.width << " x " << dims;
      }
}

TEST_P(TileKernelTest, ScoresAreTheDefinitionsOverAllEdges) {
  unsigned seed = 1;
  for (const Metric metric : {Metric::kInnerProduct, Metric::kL2})
    for (const std::uint32_t dims : {1u, 2u, 15u, 16u, 17u, 33u, 383u, 384u, 385u, 768u, 769u, 1000u})
      for (std::uint32_t query_rows = 1; query_rows <= kernel().query_width; query_rows += dims > 100 ? 5 : 1)
        for (const std::uint32_t base_rows : {1u, kernel().base_width - 1, kernel().base_width, 67u})
          check_strip(kernel(), metric, query_rows, base_rows, dims, seed += 3);
}

TEST_P(TileKernelTest, PairsOutOfPanelsScoreByTheDefinition) {
  const std::uint32_t query_width = kernel().query_width;
  const std::uint32_t base_width = kernel().base_width;
  for (const std::uint32_t dims : {1u, 7u, 64u}) {
    const tests::TestMatrix queries = tests::random_matrix(3 * query_width, dims, 1);
    const tests::TestMatrix bases = tests::random_matrix(2 * base_width, dims, 2);
    std::vector<float> query_panels(queries.values.size());
    std::vector<float> base_panels(bases.values.size());
    for (std::uint32_t row = 0; row < queries.rows; row += query_width)
      kernel().pack_query_panel(queries.row(row), dims, query_width, dims, query_panels.data() + row * dims);
    for (std::uint32_t row = 0; row < bases.rows; row += base_width)
      kernel().pack_base_panel(bases.row(row), dims, base_width, dims, base_panels.data() + row * dims);
    std::mt19937 random(3);
    for (const std::uint32_t count : {1u, 7u, 8u, 9u, 50u}) {
      std::vector<std::uint32_t> pairs(count);
      for (std::uint32_t& pair : pairs)
        pair = static_cast<std::uint32_t>((random() % queries.rows) << kQueryShift | random() % bases.rows);
      std::vector<float> scores(count);
      kernel().squared_l2_of_panel_pairs(query_panels.data(), base_panels.data(), dims, pairs.data(), count,
                                         scores.data());
      for (std::uint32_t i = 0; i < count; ++i)
        EXPECT_EQ(scores[i], tests::definition_score(Metric::kL2, queries.row(pairs[i] >> kQueryShift),
                                                     bases.row(pairs[i] & 0xffff), dims));
    }
  }
}

TEST_P(TileKernelTest, PairsOutOfRowsScoreByTheDefinition) {
  std::vector<std::uint32_t> all_dims = {64, 150, 161};
  for (std::uint32_t dims = 1; dims <= 40; ++dims) all_dims.push_back(dims);
  for (const std::uint32_t dims : all_dims) {
    const tests::TestMatrix queries = tests::random_matrix(21, dims, 1);
    const tests::TestMatrix bases = tests::random_matrix(40, dims, 2);
    const std::vector<float> factors = tests::random_matrix(40, 1, 3).values;
    std::mt19937 random(3);
    for (const std::uint32_t count : {1u, 7u, 8u, 9u, 50u}) {
      std::vector<std::uint32_t> pairs(count);
      for (std::uint32_t& pair : pairs)
        pair = static_cast<std::uint32_t>((random() % queries.rows) << kQueryShift | random() % bases.rows);
      if (count > 9) std::sort(pairs.begin(), pairs.end());  // runs of one query row
      std::vector<float> products(count), distances(count), sums(count, 2.0f);
      kernel().inner_product_of_row_pairs(queries.row(0), bases.row(0), dims, pairs.data(), count, products.data());
      kernel().squared_l2_of_row_pairs(queries.row(0), bases.row(0), dims, pairs.data(), count, distances.data());
      kernel().add_pair_products({queries.row(0), bases.row(0), factors.data(), dims, dims, dims}, pairs.data(), count,
                                 sums.data());
      for (std::uint32_t i = 0; i < count; ++i) {
        const float* query = queries.row(pairs[i] >> kQueryShift);
        const std::uint32_t b = pairs[i] & 0xffff;
        EXPECT_EQ(products[i], tests::definition_score(Metric::kInnerProduct, query, bases.row(b), dims));
        EXPECT_EQ(distances[i], tests::definition_score(Metric::kL2, query, bases.row(b), dims));
        EXPECT_NEAR(sums[i], 2.0f + factors[b] * products[i], 1e-3f);  // in any order
      }
    }
  }
}

// The product's scores against sums of the two rows' parts, padding included.
TEST_P(TileKernelTest, L2ByTheProductComparesWithSums) {
  const std::uint32_t width = kernel().base_width;
  const std::uint32_t dims = 5;
  const std::uint32_t base_rows = width + 3;
  const tests::TestMatrix queries = tests::random_matrix(kernel().query_width, dims, 1);
  const tests::TestMatrix bases = tests::random_matrix(base_rows, dims, 2);
  std::vector<float> query_panel(queries.values.size());
  std::vector<float> base_panels(std::size_t{2} * width * dims);
  kernel().pack_query_panel(queries.values.data(), dims, kernel().query_width, dims, query_panel.data());
  kernel().pack_base_panel(bases.row(0), dims, width, dims, base_panels.data());
  kernel().pack_base_panel(bases.row(width), dims, 3, dims, base_panels.data() + width * dims);
  std::mt19937 random(4);
  std::normal_distribution<float> normal;
  std::vector<float> query_thresholds(kernel().query_width), query_offsets(kernel().query_width);
  std::vector<float> base_thresholds(2 * width, kNan), base_offsets(2 * width, kNan);
  for (auto* parts : {&query_thresholds, &query_offsets})
    for (float& part : *parts) part = normal(random);
  for (std::uint32_t b = 0; b < base_rows; ++b) {
    base_thresholds[b] = normal(random);
    base_offsets[b] = normal(random);
  }
  std::vector<float> partial(kernel().query_width * 2 * width);
  const Strip strip{.query_panel = query_panel.data(),
                    .base_panels = base_panels.data(),
                    .query_thresholds = query_thresholds.data(),
                    .base_thresholds = base_thresholds.data(),
                    .partial_scores = partial.data(),
                    .dims = dims,
                    .query_rows = kernel().query_width - 1,
                    .base_panel_count = 2,
                    .first_pair = 0,
                    .query_offsets = query_offsets.data(),
                    .base_offsets = base_offsets.data()};
  StripSurvivors survivors(kernel().query_width * 2 * width);
  survivors.score(kernel().squared_l2_by_product, strip);
  ScoresByPair for_queries, for_bases;
  for (std::uint32_t q = 0; q < strip.query_rows; ++q)
    for (std::uint32_t b = 0; b < base_rows; ++b) {
      float score = 0.0f;
      for (std::uint32_t d = 0; d < dims; ++d) score = std::fma(queries.row(q)[d], bases.row(b)[d], score);
      const std::uint32_t pair = (q << kQueryShift) + b;
      if (score >= query_thresholds[q] + base_offsets[b]) for_queries[pair] = std::bit_cast<std::uint32_t>(score);
      if (score >= query_offsets[q] + base_thresholds[b]) for_bases[pair] = std::bit_cast<std::uint32_t>(score);
    }
  EXPECT_EQ(by_pair(survivors.for_queries), for_queries);
  EXPECT_EQ(by_pair(survivors.for_bases), for_bases);
  survivors.for_queries.count = 0;
  kernel().screen.squared_l2(strip, survivors.for_queries);
  for_queries.merge(for_bases);
  EXPECT_EQ(by_pair(survivors.for_queries), for_queries);
}

// Rows where they lie against every query, with thresholds that let about a third of the pairs through.
void check_rows(const TileKernel& kernel, Metric metric, std::uint32_t query_rows, std::uint32_t base_rows,
                std::uint32_t dims, unsigned seed) {
  const tests::TestMatrix queries = tests::random_matrix(query_rows, dims, seed);
  const tests::TestMatrix bases = tests::random_matrix(base_rows, dims, seed + 1);
  const std::uint32_t width = kernel.row_query_width;
  const std::uint32_t panels = (query_rows + width - 1) / width;
  std::vector<float> query_panels(std::size_t{panels} * width * dims, kNan);
  for (std::uint32_t p = 0; p < panels; ++p)
    kernel.pack_row_query_panel(queries.row(p * width), dims, std::min(width, query_rows - p * width), dims,
                                query_panels.data() + std::size_t{p} * width * dims);
  std::mt19937 random(seed + 2);
  const bool l2 = metric == Metric::kL2;
  const float spread = std::sqrt(static_cast<float>(dims));
  std::normal_distribution<float> threshold(l2 ? 2.0f * (static_cast<float>(dims) - spread) : spread / 2, spread / 4);
  std::vector<float> thresholds(std::size_t{panels} * width, kNan);
  for (std::uint32_t q = 0; q < query_rows; ++q) thresholds[q] = threshold(random);
  const std::uint32_t first_pair = 96;
  const RowStrip strip{query_panels.data(), bases.values.data(), thresholds.data(), dims, dims, panels,
                       base_rows,           first_pair};
  StripSurvivors survivors(std::size_t{panels} * width * base_rows);
  (l2 ? kernel.squared_l2_rows : kernel.inner_product_rows)(strip, survivors.for_queries);
  ScoresByPair expected;
  for (std::uint32_t q = 0; q < query_rows; ++q)
    for (std::uint32_t b = 0; b < base_rows; ++b) {
      const float score = tests::definition_score(metric, queries.row(q), bases.row(b), dims);
      if (l2 ? score <= thresholds[q] : score >= thresholds[q])
        expected[first_pair + (q << kQueryShift) + b] = std::bit_cast<std::uint32_t>(score);
    }
  // The definition's sum of zeros is +0; a product's may be -0 until its key is made.
  ScoresByPair found = by_pair(survivors.for_queries);
  for (auto& [pair, bits] : found) bits = std::bit_cast<std::uint32_t>(std::bit_cast<float>(bits) + 0.0f);
  EXPECT_EQ(found, expected) << query_rows << " x " << base_rows << " x " << dims;
}

TEST_P(TileKernelTest, RowsWhereTheyLieScoreByTheDefinition) {
  unsigned seed = 1;
  for (const Metric metric : {Metric::kInnerProduct, Metric::kL2})
    for (const std::uint32_t dims : {1u, 3u, 16u, 100u, 385u})
      for (const std::uint32_t query_rows : {1u, 4u, 5u, 8u, 15u, 16u, 17u, 33u, 64u})
        for (const std::uint32_t base_rows : {1u, 7u, 8u, 9u, 40u})
          check_rows(kernel(), metric, query_rows, base_rows, dims, seed += 3);
}

TEST_P(TileKernelTest, NothingPassesClosedThresholdsAndEverythingPassesOpenOnes) {
  const std::uint32_t dims = 24;
  const std::uint32_t width = kernel().base_width;
  const std::vector<float> query(kernel().query_width * dims, 0.5f);
  const std::vector<float> base(width * dims, 2.0f);
  std::vector<float> partial(kernel().query_width * width);
  const float infinity = std::numeric_limits<float>::infinity();
  for (std::uint32_t query_rows = 1; query_rows <= kernel().query_width; ++query_rows)
    for (const bool l2 : {false, true})
      for (const bool open : {false, true}) {
        const std::vector<float> thresholds(width, open == l2 ? infinity : -infinity);
        const Strip strip{
            query.data(), base.data(), thresholds.data(), thresholds.data(), partial.data(), dims, query_rows, 1, 0};
        StripSurvivors survivors(query_rows * width);
        survivors.score(l2 ? kernel().squared_l2 : kernel().inner_product, strip);
        EXPECT_EQ(survivors.for_queries.count, open ? query_rows * width : 0u) << l2 << open;
        EXPECT_EQ(survivors.for_bases.count, survivors.for_queries.count) << l2 << open;
        if (l2) continue;
        StripSurvivors either(query_rows * width);
        kernel().screen.inner_product(strip, either.for_queries);
        EXPECT_EQ(by_pair(either.for_queries), by_pair(survivors.for_queries)) << open;
      }
}

TEST_P(TileKernelTest, NotANumberNeverSurvives) {
  const std::uint32_t width = kernel().base_width;
  const float infinity = std::numeric_limits<float>::infinity();
  const std::vector<float> query(kernel().query_width * 2, kNan);
  const std::vector<float> base(width * 2, 1.0f);
  std::vector<float> partial(kernel().query_width * width);
  const std::vector<float> open(width, -infinity);
  const Strip strip{query.data(), base.data(), open.data(), open.data(), partial.data(), 2, kernel().query_width, 1, 0};
  StripSurvivors survivors(kernel().query_width * width);
  survivors.score(kernel().inner_product, strip);
  EXPECT_EQ(survivors.for_queries.count + survivors.for_bases.count, 0u);
  const std::vector<float> open_l2(width, infinity);
  const Strip strip_l2{
      query.data(), base.data(), open_l2.data(), open_l2.data(), partial.data(), 2, kernel().query_width, 1, 0};
  survivors.score(kernel().squared_l2, strip_l2);
  EXPECT_EQ(survivors.for_queries.count + survivors.for_bases.count, 0u);
}

// Lists and dense columns in turn, of every length.
TEST_P(TileKernelTest, SparseRowsScoreByTheDefinition) {
  std::mt19937 random(5);
  std::normal_distribution<float> normal;
  for (const std::uint32_t panels : {1u, 2u, 9u, 40u}) {
    const std::uint32_t width = panels * kernel().base_width;
    const std::uint32_t column_count = 200;
    std::vector<std::vector<float>> columns(column_count, std::vector<float>(width));
    std::vector<ColumnPostings> postings;
    std::vector<float> values, dense;
    std::vector<std::uint32_t> rows;
    for (std::uint32_t c = 0; c < column_count; ++c) {
      const bool is_dense = c % 3 == 0 || (c > 40 && c < 120);
      const std::uint32_t one_in = is_dense ? 2 : 1 + static_cast<std::uint32_t>(random() % (width + 5));
      postings.push_back({static_cast<std::uint32_t>(values.size()), 0});
      for (std::uint32_t b = 0; b < width; ++b) {
        if (random() % one_in != 0) continue;
        columns[c][b] = normal(random);
        if (is_dense) continue;
        values.push_back(columns[c][b]);
        rows.push_back(b);
        ++postings.back().count;
      }
      if (!is_dense) continue;
      postings.back() = {static_cast<std::uint32_t>(dense.size() / width), kDenseColumn};
      dense.insert(dense.end(), columns[c].begin(), columns[c].end());
    }
    std::vector<std::uint32_t> held;
    std::vector<float> factors;
    std::vector<float> expected(width), scores(width, kNan);
    for (std::uint32_t c = 0; c < column_count; ++c) {
      if (random() % 5 == 0) continue;
      held.push_back(c);
      factors.push_back(normal(random));
      for (std::uint32_t b = 0; b < width; ++b) expected[b] = std::fma(factors.back(), columns[c][b], expected[b]);
    }
    const PostingsBlock block{postings.data(), values.data(), rows.data(), dense.data(), width};
    block_kernel_of(kernel()).score_sparse_row(block, held.data(), factors.data(), held.size(), scores.data());
    EXPECT_EQ(scores, expected) << width;
    std::vector<float> sums = columns[0];
    for (std::uint32_t b = 0; b < width; ++b) expected[b] = std::fma(0.3f, scores[b], sums[b]);
    block_kernel_of(kernel()).add_weighted(0.3f, scores.data(), width, sums.data());
    EXPECT_EQ(sums, expected) << width;
  }
}

TEST_P(TileKernelTest, ScoresAndBoundsInABlockSurviveAsInAStrip) {
  std::mt19937 random(6);
  std::normal_distribution<float> normal;
  const std::uint32_t columns = 5 * kernel().base_width;
  const std::uint32_t rows = kernel().query_width - 1;
  std::vector<float> scores(rows * columns), query_thresholds(rows), base_thresholds(columns);
  for (float& score : scores) score = normal(random);
  for (float& threshold : query_thresholds) threshold = 1.0f + normal(random);
  for (float& threshold : base_thresholds) threshold = 1.0f + normal(random);
  base_thresholds.back() = kNan;
  scores[3] = kNan;
  scores[4] = query_thresholds[0];
  ScoresByPair for_queries, for_bases;
  for (std::uint32_t q = 0; q < rows; ++q)
    for (std::uint32_t b = 0; b + 1 < columns; ++b) {
      const float score = scores[q * columns + b];
      const std::uint32_t pair = 7 + (q << kQueryShift) + b;
      if (score >= query_thresholds[q]) for_queries[pair] = std::bit_cast<std::uint32_t>(score);
      if (score >= base_thresholds[b]) for_bases[pair] = std::bit_cast<std::uint32_t>(score);
    }
  StripSurvivors survivors(scores.size());
  const ScoreBlock block{scores.data(), query_thresholds.data(), base_thresholds.data(), columns, rows, columns, 7};
  block_kernel_of(kernel()).compare_scores(block, survivors.for_queries, survivors.for_bases);
  EXPECT_EQ(by_pair(survivors.for_queries), for_queries);
  EXPECT_EQ(by_pair(survivors.for_bases), for_bases);

  StripSurvivors either(scores.size());
  block_kernel_of(kernel()).compare_bounds(block, either.for_queries);
  for_queries.insert(for_bases.begin(), for_bases.end());
  for_queries[7 + 3] = std::bit_cast<std::uint32_t>(kNan);
  EXPECT_EQ(by_pair(either.for_queries), for_queries);
  EXPECT_EQ(either.for_queries.count, for_queries.size()) << "a pair came twice";
}

TEST_P(TileKernelTest, SparseSquaredL2IsTheDenseChain) {
  for (unsigned seed = 0; seed < 50; ++seed) {
    const tests::TestMatrix pair = tests::random_matrix(2, 40, seed, 0.7);
    std::vector<std::uint32_t> columns[2];
    std::vector<float> values[2];
    for (std::uint64_t r = 0; r < 2; ++r)
      for (std::uint32_t c = 0; c < 40; ++c)
        if (pair.row(r)[c] != 0.0f) {
          columns[r].push_back(c);
          values[r].push_back(pair.row(r)[c]);
        }
    EXPECT_EQ(kernel().sparse_squared_l2(columns[0].data(), values[0].data(), values[0].size(), columns[1].data(),
                                         values[1].data(), values[1].size()),
              tests::definition_score(Metric::kL2, pair.row(0), pair.row(1), 40));
  }
}

TEST_P(TileKernelTest, PruningKeepsTheSmallestKeysAndTellsTheirBound) {
  std::mt19937_64 random(9);
  for (const std::size_t count : {2u, 3u, 7u, 8u, 9u, 31u, 200u, 1256u})
    for (const std::uint64_t range : {std::uint64_t{3}, std::uint64_t{1000}, UINT64_MAX})
      for (const std::size_t least : {std::size_t{1}, count / 2, count - 1})
        for (const std::size_t most : {least, (least + count) / 2, count - 1}) {
          if (most < least) continue;
          std::vector<std::uint64_t> keys(count + 8);
          for (std::uint64_t& key : keys) key = random() % range;
          // Some keys far from all others, so that no interpolation hits at once.
          if (range == UINT64_MAX)
            for (std::size_t i = 0; i < count / 3; ++i) keys[random() % count] >>= 40;
          const std::vector<std::uint64_t> behind(keys.begin() + static_cast<long>(count), keys.end());
          std::vector<std::uint64_t> sorted(keys.begin(), keys.begin() + static_cast<long>(count));
          std::sort(sorted.begin(), sorted.end());
          const Pruned pruned = kernel().prune_keys(keys.data(), count, least, most);
          ASSERT_GE(pruned.count, least);
          ASSERT_LE(pruned.count, most);
          const auto end = keys.begin() + static_cast<long>(pruned.count);
          std::sort(keys.begin(), end);
          EXPECT_TRUE(std::equal(keys.begin(), end, sorted.begin()));
          // Equal keys on either side cannot be told apart; in use, keys are distinct.
          if (sorted[pruned.count] != sorted[pruned.count - 1]) {
            EXPECT_GT(pruned.bound, sorted[pruned.count - 1]);
            EXPECT_LE(pruned.bound, sorted[pruned.count]);
          }
          EXPECT_TRUE(std::equal(behind.begin(), behind.end(), keys.begin() + static_cast<long>(count)));
        }
}

INSTANTIATE_TEST_SUITE_P(InstructionSets, TileKernelTest, ::testing::ValuesIn(supported_sets()),
                         [](const auto& set) { return std::string(to_string(set.param)); });

TEST(SelectKernel, TakesTheWidestSetAndRefusesMissingOnes) {
  EXPECT_EQ(select_kernel(Isa::kAuto).isa, supported_sets().back());
  for (const Isa isa : {Isa::kAvx2, Isa::kAvx512})
    if (!is_supported(isa)) {
      EXPECT_THROW(select_kernel(isa), Error);
    }
}

}  // namespace
}  // namespace simtile::kernels
