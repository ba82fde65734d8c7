#include "engine/screen/prediction.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include "engine/base/arena.h"
#include "engine/base/wide_clones.h"
#include "engine/screen/screen_margin.h"
#include "engine/storage/screen_layout.h"

namespace simtile::screen {
namespace {

using storage::kScreenStep;

constexpr std::uint64_t kQueries = 96;
// A pair that is left for either row is left; the two rows' pairs overlap.
constexpr double kSidesOfASelfJoin = 1.7;

// Nanoseconds on one core, measured on an AVX-512 machine; only their ratios matter.
constexpr double kNsPerDimInTile = 0.015;
constexpr double kNsPerPairInTile = 0.05;
constexpr double kNsPerPairLeft = 6.0;  // to append it and to compare its next bound
constexpr double kNsPerDimNext = 0.03;
constexpr double kNsPerPairRows = 25.0;
constexpr double kNsPerDimRows = 0.06;
constexpr double kNsPerDimDefinition = 0.19;
// Scored by the definition, of the pairs that are left: these, for each neighbour that is wanted.
constexpr double kEntering = 3.5;
constexpr double kRowsSeeded = 600.0;
constexpr double kNsPerRow = 9000.0;

SIMTILE_WIDE_CLONES
void add_scaled(float factor, const float* values, std::uint64_t count, float* sums) {
  for (std::uint64_t i = 0; i < count; ++i) sums[i] += factor * values[i];
}

// Of the sample: coordinates by dimension, and the residual norm of each row after each step.
struct Coordinates {
  Coordinates(PageBudget& budget, const kernels::TileKernel& kernel, const Sample& sample, const Basis& basis,
              const Workers& workers)
      : stride(sample.by_row.padded_rows()),
        steps(basis.prefix_dims / kScreenStep),
        by_dim(budget, basis.prefix_dims * stride * sizeof(float)),
        residuals(budget, steps * stride * sizeof(float)) {
    multiply(kernel, workers, basis.directions.as<float>(), basis.columns, basis.prefix_dims, sample.by_row,
             by_dim.as<float>(), stride);
    const ScreenMargin margin(basis.columns, basis.prefix_dims, basis.error);
    slack = static_cast<float>(margin.slack());
    std::vector<double> squares(stride);
    for (std::uint64_t d = 0; d < basis.prefix_dims; ++d) {
      const float* values = by_dim.as<float>() + d * stride;
      for (std::uint64_t r = 0; r < stride; ++r)
        squares[r] += static_cast<double>(values[r]) * static_cast<double>(values[r]);
      if ((d + 1) % kScreenStep != 0) continue;
      float* residual = residuals.as<float>() + d / kScreenStep * stride;
      for (std::uint64_t r = 0; r < stride; ++r) residual[r] = margin.residual_norm(1.0, squares[r]);
    }
  }
  std::uint64_t stride;
  std::uint64_t steps;
  float slack = 0.0f;
  BudgetedMemory by_dim;
  BudgetedMemory residuals;
};

// The score, larger being better, of rows with these squared norms whose unit rows' product is `product`.
float better(Metric metric, float a_squared, float b_squared, float product) {
  if (metric == Metric::kCosine) return product;
  const float scaled = std::sqrt(a_squared) * std::sqrt(b_squared) * product;
  return metric == Metric::kInnerProduct ? scaled : 2.0f * scaled - a_squared - b_squared;
}

// What the best `rank` of a sample would be where it stands between its members: ranks below one go on in a straight
// line over the logarithm of the rank, as the best few lie.
float at_rank(std::vector<float>& scores, double rank) {
  constexpr std::size_t kSupport = 8;
  const auto whole =
      std::min(static_cast<std::size_t>(std::ceil(std::max(rank, static_cast<double>(kSupport)))), scores.size());
  std::partial_sort(scores.begin(), scores.begin() + static_cast<std::ptrdiff_t>(whole), scores.end(),
                    std::greater<>());
  if (rank >= 1.0) return scores[std::min(static_cast<std::size_t>(std::ceil(rank)), whole) - 1];
  const float support = scores[std::min(kSupport, whole) - 1];
  const double slope = static_cast<double>(scores[0] - support) / std::log(static_cast<double>(kSupport));
  return static_cast<float>(static_cast<double>(scores[0]) + slope * std::log(1.0 / rank));
}

// The shares of pairs that each number of steps would leave for their query rows.
struct Shares {
  std::vector<double> loose;  // with bounds that are too high by the looseness of the first look
  std::vector<double> exact;
};
Shares shares_left(const kernels::TileKernel& kernel, const Sample& sample, const Basis& basis, const PredictedJob& job,
                   const Coordinates& coordinates, double looseness, PageBudget& budget) {
  const std::uint64_t rows = sample.squared_norms.size();
  const std::uint64_t queries = std::min(kQueries, rows);
  const std::uint64_t stride = coordinates.stride;
  const BudgetedMemory values(budget, queries * basis.columns * sizeof(float));
  const BudgetedMemory products(budget, queries * stride * sizeof(float));
  const auto sampled_row = [&](std::uint64_t q) { return q * rows / queries; };
  for (std::uint64_t q = 0; q < queries; ++q)
    sample.by_row.get_row(sampled_row(q), values.as<float>() + q * basis.columns);
  multiply(kernel, job.workers, values.as<float>(), basis.columns, queries, sample.by_row, products.as<float>(),
           stride);
  const double rank = static_cast<double>(job.top_k) * static_cast<double>(rows) / static_cast<double>(job.base_rows);
  std::vector<std::vector<double>> left(queries, std::vector<double>(2 * coordinates.steps));
  parallel_for_each(job.workers.threads, 0, queries, 1, [&](std::uint64_t q) {
    const std::uint64_t own = sampled_row(q);
    const float* product = products.as<float>() + q * stride;
    const float norm = sample.squared_norms[own];
    std::vector<float> scores;
    for (std::uint64_t b = 0; b < rows; ++b)
      if (b != own) scores.push_back(better(job.metric, norm, sample.squared_norms[b], product[b]));
    if (scores.empty()) return;
    const float threshold = at_rank(scores, rank);
    std::vector<float> bounds(stride, coordinates.slack);
    for (std::uint64_t step = 0; step < coordinates.steps; ++step) {
      for (std::uint64_t d = step * kScreenStep; d < (step + 1) * kScreenStep; ++d) {
        const float* at = coordinates.by_dim.as<float>() + d * stride;
        add_scaled(at[own], at, rows, bounds.data());
      }
      const float* residual = coordinates.residuals.as<float>() + step * stride;
      const auto share_passing = [&](float more) {
        std::uint64_t passing = 0;
        for (std::uint64_t b = 0; b < rows; ++b)
          passing += b != own && better(job.metric, norm, sample.squared_norms[b],
                                        bounds[b] + residual[own] * residual[b] + more) >= threshold;
        return static_cast<double>(passing) / static_cast<double>(rows - 1);
      };
      left[q][step] = share_passing(0.0f);
      left[q][coordinates.steps + step] =
          looseness == 0.0 ? left[q][step] : share_passing(static_cast<float>(looseness));
    }
  });
  const auto mean_share = [&](std::size_t i) {
    double sum = 0.0;
    for (const std::vector<double>& of_query : left) sum += of_query[i];
    return std::min(1.0, sum / static_cast<double>(queries) * (job.self_join ? kSidesOfASelfJoin : 1.0));
  };
  Shares shares;
  for (std::size_t step = 0; step < coordinates.steps; ++step) {
    shares.exact.push_back(mean_share(step));
    shares.loose.push_back(mean_share(coordinates.steps + step));
  }
  return shares;
}

}  // namespace

Prediction predict(PageBudget& budget, const kernels::TileKernel& kernel, const kernels::ScreenKernel& screen_kernel,
                   const Sample& sample, const Basis& basis, const PredictedJob& job) {
  const Coordinates coordinates(budget, kernel, sample, basis, job.workers);
  const bool is_loose = screen_kernel.looseness > 0.0;
  const Shares shares = shares_left(kernel, sample, basis, job, coordinates, screen_kernel.looseness, budget);
  const auto dims = static_cast<double>(basis.columns);
  const auto prefix_dims = static_cast<double>(basis.prefix_dims);
  const double pairs =
      static_cast<double>(job.query_rows) * static_cast<double>(job.base_rows) * (job.self_join ? 0.5 : 1.0);
  const double rows = static_cast<double>(job.query_rows) + (job.self_join ? 0.0 : static_cast<double>(job.base_rows));
  const double making = rows * (dims * (prefix_dims + kRowsSeeded) * kNsPerDimInTile + kNsPerRow);
  const double entering =
      static_cast<double>(job.top_k) / static_cast<double>(job.base_rows) * kEntering * dims * kNsPerDimDefinition;
  const double without =
      pairs * (job.looks_first ? dims * screen_kernel.ns_per_dim + screen_kernel.ns_per_pair + entering
                               : dims * kNsPerDimInTile + kNsPerPairInTile);
  Prediction best;
  best.cost = std::numeric_limits<double>::infinity();
  for (std::uint64_t first = 0; first < coordinates.steps; ++first)
    for (std::uint64_t last = first; last < coordinates.steps; ++last) {
      // A loose bound is made anew from the first coordinate on.
      const auto next_dims =
          last == first ? 0.0 : static_cast<double>((is_loose ? last + 1 : last - first) * kScreenStep);
      const double left = last == first ? shares.loose[first] : shares.exact[last];
      const double tile =
          static_cast<double>((first + 1) * kScreenStep + 2) * screen_kernel.ns_per_dim + screen_kernel.ns_per_pair;
      const double next = shares.loose[first] * (kNsPerPairLeft + next_dims * kNsPerDimNext);
      const double by_rows = left * (kNsPerPairRows + dims * kNsPerDimRows);
      const double cost = (making + pairs * (tile + next + by_rows + entering)) / without;
      if (cost >= best.cost) continue;
      best = {(first + 1) * kScreenStep, (last - first) * kScreenStep, shares.loose[first], left, cost};
    }
  return best;
}

}  // namespace simtile::screen
