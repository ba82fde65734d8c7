#include "tests/job_oracle.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <random>
#include <utility>

#include "engine/base/fma_clones.h"
#include "engine/kernels/tile_kernel.h"
#include "engine/storage/matrix_writer.h"
#include "engine/storage/row_norm.h"

namespace simtile::tests {
namespace {

// The numbers of libstdc++'s uniform_real_distribution<double> and normal_distribution<float>, which ask for a
// logarithm of extended precision with each draw: most of the time of making a matrix.
class Draws {
 public:
  explicit Draws(unsigned seed) : random_(seed) {}
  std::uint32_t bits() { return static_cast<std::uint32_t>(random_()); }
  // In [0, 1).
  double uniform() {
    const double low = bits();
    return below_one((low + 0x1p32 * bits()) * 0x1p-64);
  }
  // Marsaglia's polar method.
  float normal() {
    if (kept_) return *std::exchange(kept_, std::nullopt);
    float x, y, squared_length;
    do {
      x = 2.0f * below_one(static_cast<float>(bits()) * 0x1p-32f) - 1.0f;
      y = 2.0f * below_one(static_cast<float>(bits()) * 0x1p-32f) - 1.0f;
      squared_length = x * x + y * y;
    } while (squared_length > 1.0f || squared_length == 0.0f);
    const float scale = std::sqrt(-2.0f * std::log(squared_length) / squared_length);
    kept_ = x * scale;
    return y * scale;
  }

 private:
  template <typename Float>
  static Float below_one(Float value) {
    return value < 1 ? value : std::nextafter(Float{1}, Float{0});
  }
  std::mt19937 random_;
  std::optional<float> kept_;
};

}  // namespace

TestMatrix random_matrix(std::uint64_t rows, std::uint64_t columns, unsigned seed, double zero_share) {
  Draws draws(seed);
  TestMatrix matrix{rows, columns, std::vector<float>(rows * columns)};
  for (std::uint64_t r = 0; r < rows; ++r) {
    float* row = matrix.values.data() + r * columns;
    const double draw = draws.uniform();
    if (r > 0 && draw < 0.1) {
      const float* earlier = matrix.row(draws.bits() % r);
      std::copy(earlier, earlier + columns, row);
    } else if (draw > 0.98) {
      std::fill(row, row + columns, 0.0f);
    } else {
      for (std::uint64_t c = 0; c < columns; ++c) row[c] = draws.uniform() < zero_share ? 0.0f : draws.normal();
    }
  }
  return matrix;
}

void write_matrix(const std::string& path, const TestMatrix& matrix, ElementType type) {
  storage::MatrixWriterOptions options;
  options.columns = matrix.columns;
  options.element_type = type;
  storage::MatrixWriter writer(path, options);
  writer.append_rows(matrix.values);
  writer.finish();
}

void write_sparse_matrix(const std::string& path, const TestMatrix& matrix) {
  storage::MatrixWriterOptions options;
  options.columns = matrix.columns;
  options.layout = storage::MatrixLayout::kCsr;
  storage::MatrixWriter writer(path, options);
  std::vector<std::uint32_t> columns;
  std::vector<float> values;
  for (std::uint64_t r = 0; r < matrix.rows; ++r) {
    columns.clear();
    values.clear();
    for (std::uint32_t c = 0; c < matrix.columns; ++c)
      if (matrix.row(r)[c] != 0.0f) {
        columns.push_back(c);
        values.push_back(matrix.row(r)[c]);
      }
    writer.append_sparse_row(columns, values);
  }
  writer.finish();
}

TestMatrix unit_rows(const TestMatrix& matrix) {
  TestMatrix unit = matrix;
  for (std::uint64_t r = 0; r < matrix.rows; ++r) {
    const double inverse = inverse_norm(row_norm(matrix.row(r), matrix.columns));
    for (std::uint64_t c = 0; c < matrix.columns; ++c)
      unit.values[r * matrix.columns + c] = unit_value(matrix.row(r)[c], inverse);
  }
  return unit;
}

// Half of the time of a job's test passes here: sanitizers are not told of each step. A builtin, as std::fma is a
// function that they do watch, and that is therefore not inlined here.
__attribute__((no_sanitize("address", "thread", "undefined"))) SIMTILE_WITH_AND_WITHOUT_FMA float definition_score(
    Metric metric, const float* a, const float* b, std::uint64_t columns) {
  float score = 0.0f;
  for (std::uint64_t c = 0; c < columns; ++c) {
    const float difference = a[c] - b[c];
    score = metric == Metric::kL2 ? __builtin_fmaf(difference, difference, score) : __builtin_fmaf(a[c], b[c], score);
  }
  return score + 0.0f;
}

Answer definition_answer(const TestMatrix& raw_base, const TestMatrix* raw_queries, Metric metric, std::uint64_t top_k,
                         std::optional<float> min_score) {
  const bool cosine = metric == Metric::kCosine;
  const TestMatrix base = cosine ? unit_rows(raw_base) : raw_base;
  const TestMatrix queries = raw_queries == nullptr ? base : cosine ? unit_rows(*raw_queries) : *raw_queries;
  Answer answer(queries.rows);
  for (std::uint64_t q = 0; q < queries.rows; ++q) {
    std::vector<Neighbour>& found = answer[q];
    for (std::uint64_t b = 0; b < base.rows; ++b) {
      if (raw_queries == nullptr && b == q) continue;
      const float score = definition_score(metric, queries.row(q), base.row(b), base.columns);
      if (std::isnan(score)) continue;
      if (min_score && (metric == Metric::kL2 ? score > *min_score : score < *min_score)) continue;
      found.push_back({b, score});
    }
    const std::size_t kept = std::min<std::size_t>(found.size(), top_k);
    std::partial_sort(found.begin(), found.begin() + static_cast<std::ptrdiff_t>(kept), found.end(),
                      [&](const Neighbour& x, const Neighbour& y) {
                        if (x.score != y.score) return metric == Metric::kL2 ? x.score < y.score : x.score > y.score;
                        return x.row < y.row;
                      });
    found.resize(kept);
  }
  return answer;
}

std::string name_of_first_look() {
  const kernels::ScreenKernel& kernel = kernels::select_look_kernel(Isa::kAuto);
  return kernel.looseness > 0.0 ? kernel.name : "";
}

std::string first_difference(const std::string& knn_path, const Answer& answer) {
  const Neighbours neighbours(knn_path);
  if (neighbours.info().rows != answer.size()) return "rows " + std::to_string(neighbours.info().rows);
  for (std::uint64_t r = 0; r < answer.size(); ++r) {
    const std::vector<Neighbour> found = neighbours.row(r);
    if (found.size() != answer[r].size())
      return "row " + std::to_string(r) + " has " + std::to_string(found.size()) + " neighbours, not " +
             std::to_string(answer[r].size());
    for (std::size_t i = 0; i < found.size(); ++i)
      if (found[i].row != answer[r][i].row ||
          std::bit_cast<std::uint32_t>(found[i].score) != std::bit_cast<std::uint32_t>(answer[r][i].score))
        return "row " + std::to_string(r) + ", rank " + std::to_string(i) + ": " + std::to_string(found[i].row) + " " +
               std::to_string(found[i].score) + ", not " + std::to_string(answer[r][i].row) + " " +
               std::to_string(answer[r][i].score);
  }
  return "";
}

}  // namespace simtile::tests
