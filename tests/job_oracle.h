// The definition of a job's answer, in the plainest code: every pair, std::fma, a sort. And small matrices to ask
// it about.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "simtile/neighbours.h"
#include "simtile/types.h"

namespace simtile::tests {

// A sanitizer keeps freed memory for a while: the process grows from job to job.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr std::uint64_t kKeptBytes = std::uint64_t{64} << 20;
#else
inline constexpr std::uint64_t kKeptBytes = 0;
#endif

struct TestMatrix {
  std::uint64_t rows = 0;
  std::uint64_t columns = 0;
  std::vector<float> values;
  const float* row(std::uint64_t r) const { return values.data() + r * columns; }
};

// Gaussian rows, some of them copies of earlier ones, some zero: ties and degenerate rows on purpose.
TestMatrix random_matrix(std::uint64_t rows, std::uint64_t columns, unsigned seed, double zero_share = 0.0);

void write_matrix(const std::string& path, const TestMatrix& matrix, ElementType type = ElementType::kF32);
void write_sparse_matrix(const std::string& path, const TestMatrix& matrix);

TestMatrix unit_rows(const TestMatrix& matrix);
float definition_score(Metric metric, const float* a, const float* b, std::uint64_t columns);

using Answer = std::vector<std::vector<Neighbour>>;

// `queries` null: self-join.
Answer definition_answer(const TestMatrix& raw_base, const TestMatrix* raw_queries, Metric metric, std::uint64_t top_k,
                         std::optional<float> min_score = {});

// Of the kernel with which a job looks at its pairs first on this processor, where there is one: otherwise empty.
std::string name_of_first_look();

// The first difference between a neighbours file and an answer, or an empty string.
std::string first_difference(const std::string& knn_path, const Answer& answer);

}  // namespace simtile::tests
