// A few rows of the sample as queries of all the others: how near their neighbours are, and how many pairs would be
// left by bounds that lie above the scores.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/screen/basis.h"
#include "simtile/types.h"

namespace simtile::screen {

struct PredictedJob {
  Metric metric = Metric::kCosine;
  std::uint64_t top_k = 1;
  std::uint64_t query_rows = 1;
  std::uint64_t base_rows = 1;
  bool self_join = false;
  const kernels::ScreenKernel* look = nullptr;  // without a screen, takes a first look at all coordinates; may be null
  double guessed_rank = 0.0;  // without a screen, so many base rows are better than a row's guessed bound; 0: none is
  bool base_is_screened = false;  // there is a screen file of the base already
  Workers workers;
};

class SampledQueries {
 public:
  // The sample has at least two rows.
  SampledQueries(PageBudget& budget, const kernels::TileKernel& kernel, const Sample& sample, std::uint64_t columns,
                 const PredictedJob& job);

  std::uint64_t count() const noexcept { return thresholds_.size(); }
  // The row of the sample that query q is.
  std::uint64_t row(std::uint64_t q) const noexcept { return q * sample_->squared_norms.size() / count(); }

  // The share of the sample's other rows whose bound on the product of unit rows, bound_of(row), would let the pair
  // with query q through for the query's sake.
  template <typename BoundOf>
  double share_passing(std::uint64_t q, BoundOf bound_of) const {
    const std::uint64_t rows = sample_->squared_norms.size();
    const std::uint64_t own = row(q);
    std::uint64_t passing = 0;
    for (std::uint64_t b = 0; b < rows; ++b) passing += b != own && passes(q, own, b, bound_of(b));
    return static_cast<double>(passing) / static_cast<double>(rows - 1);
  }

  // Whether a pair with row `a`, which has as good neighbours as query q, would be let through for its sake.
  bool passes(std::uint64_t q, std::uint64_t a, std::uint64_t b, float bound) const noexcept {
    return better(a, b, bound) >= thresholds_[q];
  }

  // The share of all pairs that bounds would leave which lie so much above the products of unit rows.
  double share_left(double above) const;
  // From the mean over the queries to both rows of a pair.
  double of_both_sides(double mean_share) const noexcept;
  // At least what m directions leave out of the squared norms of unit rows, on average: they hold at most the sum of
  // the m largest eigenvalues of the second moments, and by Cauchy and Schwarz that is at most sqrt(m x the sum of all
  // squares), which is the mean square of the products. 0 where that is no number.
  double least_residual(std::uint64_t m) const noexcept;

 private:
  // The score, larger being better, of rows whose unit rows' product is `product`.
  float better(std::uint64_t a, std::uint64_t b, float product) const noexcept;
  const float* products(std::uint64_t q) const noexcept { return products_.as<float>() + q * stride_; }

  const Sample* sample_;
  Metric metric_;
  bool self_join_;
  std::uint64_t stride_;
  BudgetedMemory products_;  // of unit rows: count() x stride()
  std::vector<float> thresholds_;
  double mean_squared_product_ = 0.0;
  double mean_squared_norm_ = 1.0;  // of unit rows: less where some are zero
};

}  // namespace simtile::screen
