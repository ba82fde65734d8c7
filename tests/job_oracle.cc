#include "tests/job_oracle.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <random>

#include "engine/base/fma_clones.h"
#include "engine/storage/matrix_writer.h"
#include "engine/storage/row_norm.h"

namespace simtile::tests {

TestMatrix random_matrix(std::uint64_t rows, std::uint64_t columns, unsigned seed, double zero_share) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::uniform_real_distribution<double> uniform;
  TestMatrix matrix{rows, columns, std::vector<float>(rows * columns)};
  for (std::uint64_t r = 0; r < rows; ++r) {
    float* row = matrix.values.data() + r * columns;
    const double draw = uniform(random);
    if (r > 0 && draw < 0.1) {
      const float* earlier = matrix.row(random() % r);
      std::copy(earlier, earlier + columns, row);
    } else if (draw > 0.98) {
      std::fill(row, row + columns, 0.0f);
    } else {
      for (std::uint64_t c = 0; c < columns; ++c) row[c] = uniform(random) < zero_share ? 0.0f : normal(random);
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

// Half of the time of a job's test passes here: sanitizers are not told of each step.
__attribute__((no_sanitize("address", "thread", "undefined"))) SIMTILE_WITH_AND_WITHOUT_FMA float definition_score(
    Metric metric, const float* a, const float* b, std::uint64_t columns) {
  float score = 0.0f;
  for (std::uint64_t c = 0; c < columns; ++c) {
    const float difference = a[c] - b[c];
    score = metric == Metric::kL2 ? std::fma(difference, difference, score) : std::fma(a[c], b[c], score);
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
