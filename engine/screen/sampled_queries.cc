#include "engine/screen/sampled_queries.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include "engine/base/arena.h"

namespace simtile::screen {
namespace {

constexpr std::uint64_t kMostQueries = 96;
// A pair that is left for either row is left; the two rows' pairs overlap.
constexpr double kSidesOfASelfJoin = 1.7;

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

}  // namespace

SampledQueries::SampledQueries(PageBudget& budget, const kernels::TileKernel& kernel, const Sample& sample,
                               std::uint64_t columns, const PredictedJob& job)
    : sample_(&sample),
      metric_(job.metric),
      self_join_(job.self_join),
      stride_(sample.by_row.padded_rows()),
      thresholds_(std::min<std::uint64_t>(kMostQueries, sample.squared_norms.size())) {
  const std::uint64_t rows = sample.squared_norms.size();
  const BudgetedMemory values(budget, count() * columns * sizeof(float));
  products_ = BudgetedMemory(budget, count() * stride_ * sizeof(float));
  for (std::uint64_t q = 0; q < count(); ++q) sample.by_row.get_row(row(q), values.as<float>() + q * columns);
  multiply(kernel, job.workers, values.as<float>(), columns, count(), sample.by_row, products_.as<float>(), stride_);

  const double rank = static_cast<double>(job.top_k) * static_cast<double>(rows) / static_cast<double>(job.base_rows);
  std::vector<double> squares(count());
  parallel_for_each(job.workers.threads, 0, count(), 1, [&](std::uint64_t q) {
    std::vector<float> scores;
    scores.reserve(rows);
    for (std::uint64_t b = 0; b < rows; ++b) {
      if (b == row(q)) continue;
      const float product = products(q)[b];
      scores.push_back(better(row(q), b, product));
      squares[q] += static_cast<double>(product) * static_cast<double>(product);
    }
    thresholds_[q] = at_rank(scores, rank);
  });
  for (const double sum : squares) mean_squared_product_ += sum;
  mean_squared_product_ /= static_cast<double>(count() * (rows - 1));
  const auto zero_rows = std::count(sample.squared_norms.begin(), sample.squared_norms.end(), 0.0f);
  mean_squared_norm_ -= static_cast<double>(zero_rows) / static_cast<double>(rows);
}

float SampledQueries::better(std::uint64_t a, std::uint64_t b, float product) const noexcept {
  if (metric_ == Metric::kCosine) return product;
  const float a_squared = sample_->squared_norms[a];
  const float b_squared = sample_->squared_norms[b];
  const float scaled = std::sqrt(a_squared) * std::sqrt(b_squared) * product;
  return metric_ == Metric::kInnerProduct ? scaled : 2.0f * scaled - a_squared - b_squared;
}

double SampledQueries::share_left(double above) const {
  double sum = 0.0;
  for (std::uint64_t q = 0; q < count(); ++q)
    sum += share_passing(q, [&](std::uint64_t b) { return products(q)[b] + static_cast<float>(above); });
  return of_both_sides(sum / static_cast<double>(count()));
}

double SampledQueries::of_both_sides(double mean_share) const noexcept {
  return std::min(1.0, mean_share * (self_join_ ? kSidesOfASelfJoin : 1.0));
}

double SampledQueries::least_residual(std::uint64_t m) const noexcept {
  return std::max(0.0, mean_squared_norm_ - std::sqrt(static_cast<double>(m) * mean_squared_product_));
}

}  // namespace simtile::screen
