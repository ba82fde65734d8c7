#include "engine/screen/prediction.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <span>

#include "engine/base/arena.h"
#include "engine/base/checked.h"
#include "engine/base/wide_clones.h"
#include "engine/plan/tile_plan.h"
#include "engine/screen/nearby_order.h"
#include "engine/screen/screen_margin.h"
#include "engine/storage/screen_layout.h"

namespace simtile::screen {
namespace {

using storage::kScreenStep;

// Nanoseconds on one core, measured on an AVX-512 machine; only their ratios matter.
constexpr double kNsPerDimInTile = 0.015;
constexpr double kNsPerPairInTile = 0.05;
constexpr double kDimsOfATest = 4.0;    // at a stop
constexpr double kNsPerPairLeft = 6.0;  // to append it and to compare its next bound
constexpr double kNsPerDimNext = 0.085;
constexpr double kNsPerPairRows = 40.0;
constexpr double kNsPerDimRows = 0.06;
constexpr double kNsPerDimDefinition = 0.17;
// Scored by the definition, of the pairs that are left: these, for each neighbour that is wanted.
constexpr double kEntering = 3.5;
constexpr double kRowsSeeded = 300.0;
constexpr double kNsPerRow = 10000.0;
// With a first look instead, nothing is seeded: so many rows for each neighbour are scored by the tile kernel first.
constexpr double kRowsBeforeALook = 20.0;
// Or bounds are guessed from a sample (join/guessed_bounds.h), at this cost for each query row.
constexpr double kNsPerRowGuessed = 4000.0;
constexpr double kNsPerDimGuessed = 12.0;

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

// The shares of pairs that each number of steps would leave.
struct Shares {
  std::vector<double> loose;  // with bounds that are too high by the looseness of the first look
  std::vector<double> exact;
  std::vector<double> blocks;  // of blocks of pairs, at the stops; empty where the kernel has none
};
Shares shares_left(const Sample& sample, const SampledQueries& queries, const Coordinates& coordinates,
                   double looseness, const Workers& workers) {
  const std::uint64_t rows = sample.squared_norms.size();
  const auto loose = static_cast<float>(looseness);
  std::vector<std::vector<double>> left(queries.count(), std::vector<double>(2 * coordinates.steps));
  parallel_for_each(workers.threads, 0, queries.count(), 1, [&](std::uint64_t q) {
    const std::uint64_t own = queries.row(q);
    std::vector<float> bounds(coordinates.stride, coordinates.slack);
    for (std::uint64_t step = 0; step < coordinates.steps; ++step) {
      for (std::uint64_t d = step * kScreenStep; d < (step + 1) * kScreenStep; ++d) {
        const float* at = coordinates.by_dim.as<float>() + d * coordinates.stride;
        add_scaled(at[own], at, rows, bounds.data());
      }
      const float* residual = coordinates.residuals.as<float>() + step * coordinates.stride;
      const auto bound_of = [&](std::uint64_t b) { return bounds[b] + residual[own] * residual[b]; };
      left[q][step] = queries.share_passing(q, bound_of);
      left[q][coordinates.steps + step] =
          loose == 0.0f ? left[q][step]
                        : queries.share_passing(q, [&](std::uint64_t b) { return bound_of(b) + loose; });
    }
  });
  const auto mean_share = [&](std::size_t i) {
    double sum = 0.0;
    for (const std::vector<double>& of_query : left) sum += of_query[i];
    return queries.of_both_sides(sum / static_cast<double>(queries.count()));
  };
  Shares shares;
  for (std::size_t step = 0; step < coordinates.steps; ++step) {
    shares.exact.push_back(mean_share(step));
    shares.loose.push_back(mean_share(coordinates.steps + step));
  }
  return shares;
}

// The sample in the order of a tile's panels (screen/nearby_order.h), and the shares of blocks that would be left.
class SampledBlocks {
 public:
  SampledBlocks(PageBudget& budget, const kernels::ScreenKernel& kernel, const Sample& sample,
                const SampledQueries& queries, const Coordinates& coordinates)
      : kernel_(&kernel), queries_(&queries), coordinates_(&coordinates), order_(sample.squared_norms.size()) {
    const BudgetedMemory by_row(budget, order_.size() * kOrderingDims * sizeof(float));
    for (std::size_t r = 0; r < order_.size(); ++r)
      for (std::uint32_t d = 0; d < kOrderingDims; ++d)
        by_row.as<float>()[r * kOrderingDims + d] = coordinates.by_dim.as<float>()[d * coordinates.stride + r];
    std::iota(order_.begin(), order_.end(), 0u);
    order_nearby({by_row.as<float>(), kOrderingDims, nullptr}, kernel.base_width, order_);
    place_of_.resize(order_.size());
    for (std::uint32_t place = 0; place < order_.size(); ++place) place_of_[order_[place]] = place;
  }

  // After each stop of the first `prefix_dims` coordinates.
  std::vector<double> shares_left(std::uint64_t prefix_dims, const Workers& workers) const {
    const std::uint32_t stops = plan::ScreenShape::most_stops(prefix_dims);
    const std::uint64_t looked_at = std::min(queries_->count(), kBlocksOfQueries);
    std::vector<std::vector<double>> left(looked_at, std::vector<double>(stops));
    parallel_for_each(workers.threads, 0, looked_at, 1, [&](std::uint64_t i) {
      const std::uint64_t q = i * queries_->count() / looked_at;
      std::vector<std::vector<char>> passing(stops, std::vector<char>(divide_up(order_.size(), kernel_->base_width)));
      for (const std::uint32_t row : block_of(q)) mark_passing(q, row, passing);
      for (std::uint32_t s = 0; s < stops; ++s)
        left[i][s] = static_cast<double>(std::count(passing[s].begin(), passing[s].end(), 1)) /
                     static_cast<double>(passing[s].size());
    });
    std::vector<double> shares(stops);
    for (std::uint32_t s = 0; s < stops; ++s) {
      for (const std::vector<double>& of_block : left) shares[s] += of_block[s] / static_cast<double>(looked_at);
      shares[s] = queries_->of_both_sides(shares[s]);
    }
    return shares;
  }

 private:
  static constexpr std::uint64_t kBlocksOfQueries = 16;

  // The rows of a query panel with the sample's query q.
  std::span<const std::uint32_t> block_of(std::uint64_t q) const noexcept {
    const std::uint64_t first = round_down(place_of_[queries_->row(q)], kernel_->query_width);
    return std::span(order_).subspan(first, std::min<std::uint64_t>(kernel_->query_width, order_.size() - first));
  }

  void mark_passing(std::uint64_t q, std::uint32_t row, std::vector<std::vector<char>>& passing) const {
    std::vector<float> bounds(coordinates_->stride, coordinates_->slack);
    std::uint64_t done = 0;
    for (std::size_t s = 0; s < passing.size(); ++s) {
      const std::uint64_t end = plan::ScreenShape::stop_coordinates(static_cast<std::uint32_t>(s));
      for (; done < end; ++done) {
        const float* at = coordinates_->by_dim.as<float>() + done * coordinates_->stride;
        add_scaled(at[row], at, order_.size(), bounds.data());
      }
      const float* residual = coordinates_->residuals.as<float>() + (end / kScreenStep - 1) * coordinates_->stride;
      for (std::size_t place = 0; place < order_.size(); ++place) {
        const std::uint32_t b = order_[place];
        if (b != row && queries_->passes(q, row, b, bounds[b] + residual[row] * residual[b]))
          passing[s][place / kernel_->base_width] = 1;
      }
    }
  }

  const kernels::ScreenKernel* kernel_;
  const SampledQueries* queries_;
  const Coordinates* coordinates_;
  std::vector<std::uint32_t> order_;
  std::vector<std::uint32_t> place_of_;
};

// Nanoseconds on one core, of all rows or of a pair.
class CostModel {
 public:
  CostModel(const kernels::ScreenKernel& kernel, const PredictedJob& job, std::uint64_t columns)
      : kernel_(&kernel), job_(&job), dims_(static_cast<double>(columns)) {
    const auto queries = static_cast<double>(job.query_rows);
    const auto bases = static_cast<double>(job.base_rows);
    pairs_ = queries * bases * (job.self_join ? 0.5 : 1.0);
    rows_screened_ = (job.self_join ? 0.0 : queries) + (job.base_is_screened ? 0.0 : bases);
    share_entering_ = static_cast<double>(job.top_k) / bases * kEntering;
  }

  // With a screen of so many coordinates at most: making it, and seeding thresholds.
  double making(std::uint64_t prefix_dims) const noexcept {
    return rows_screened_ * (dims_ * static_cast<double>(prefix_dims) * kNsPerDimInTile + kNsPerRow) +
           static_cast<double>(job_->query_rows) * dims_ * kRowsSeeded * kNsPerDimInTile;
  }
  double first_bound(std::uint64_t first_dims) const noexcept {
    return static_cast<double>(first_dims + 2) * kernel_->ns_per_dim + kernel_->ns_per_pair;
  }
  // Where blocks may end at stops, which leave these shares of them.
  double first_bound(std::uint64_t first_dims, const std::vector<double>& blocks_left) const noexcept {
    double dims = 2.0;
    double reached = 1.0;  // by so many of the blocks
    std::uint64_t done = 0;
    const std::uint32_t stops = blocks_left.empty() ? 0 : plan::ScreenShape::most_stops(first_dims);
    for (std::uint32_t s = 0; s < stops; ++s) {
      const std::uint64_t here = plan::ScreenShape::stop_coordinates(s);
      const std::uint64_t next = s + 1 == stops ? first_dims : plan::ScreenShape::stop_coordinates(s + 1);
      dims += reached * static_cast<double>(here - done);
      done = here;
      const double left = std::min(reached, blocks_left[s]);
      if ((reached - left) * static_cast<double>(next - here) < reached * kDimsOfATest) continue;
      dims += reached * kDimsOfATest;
      reached = left;
    }
    dims += reached * static_cast<double>(first_dims - done);
    return dims * kernel_->ns_per_dim + kernel_->ns_per_pair;
  }
  double next_bound(std::uint64_t next_dims) const noexcept {
    return kNsPerPairLeft + static_cast<double>(next_dims) * kNsPerDimNext;
  }
  double bound_by_rows() const noexcept { return kNsPerPairRows + dims_ * kNsPerDimRows; }

  // For the definition, where all bounds together leave such a share of the pairs: at least those that enter a top K on
  // the way, and more where rows are hardly apart.
  double definition(double share_left) const noexcept {
    return std::max(share_left, share_entering_) * dims_ * kNsPerDimDefinition;
  }

  // Of the whole job, as a share of what it costs without a screen.
  double share_of_without(double making, double pair, double share_looked) const noexcept {
    return (making + pairs_ * pair) / (pairs_ * without(share_looked));
  }

 private:
  // A pair of a job without a screen; a first look would leave so many.
  double without(double share_looked) const noexcept {
    const double in_tile = dims_ * kNsPerDimInTile + kNsPerPairInTile;
    if (job_->look == nullptr) return in_tile;
    const auto bases = static_cast<double>(job_->base_rows);
    const auto wanted = static_cast<double>(job_->top_k);
    const bool guesses = job_->guessed_rank > 0.0;
    const double rows_before = std::min(bases, kRowsBeforeALook * wanted);
    // The n-th score of a row enters its top K with probability K / n.
    const double chances = std::log(guesses ? std::max(1.0, job_->guessed_rank / wanted) : bases / rows_before);
    const double sides = job_->self_join ? 2.0 : 1.0;
    const double left = std::min(1.0, share_looked + sides * wanted / bases * chances);
    double before = 0.0;
    if (guesses)
      before = static_cast<double>(job_->query_rows) * (kNsPerRowGuessed + dims_ * kNsPerDimGuessed) / pairs_;
    else if (job_->self_join)
      before = sides * rows_before / bases * in_tile;
    const double looking = before + dims_ * job_->look->ns_per_dim + job_->look->ns_per_pair +
                           left * (kNsPerPairLeft + dims_ * kNsPerDimDefinition);
    // Where too many pairs are left, the job goes on without looking.
    return std::min(looking, in_tile);
  }

  const kernels::ScreenKernel* kernel_;
  const PredictedJob* job_;
  double dims_;
  double pairs_ = 0.0;
  double rows_screened_ = 0.0;
  double share_entering_ = 0.0;
};

// Of a job without a screen.
double share_looked(const SampledQueries& queries, const PredictedJob& job) {
  return queries.share_left(job.look != nullptr ? job.look->looseness : 0.0);
}

}  // namespace

double least_cost(const kernels::ScreenKernel& screen_kernel, const SampledQueries& queries, std::uint64_t columns,
                  std::uint64_t prefix_dims, const PredictedJob& job) {
  const CostModel model(screen_kernel, job, columns);
  const double left = queries.share_left(queries.least_residual(prefix_dims));
  return model.share_of_without(model.making(prefix_dims),
                                model.first_bound(kScreenStep) + left * model.bound_by_rows() + model.definition(0.0),
                                share_looked(queries, job));
}

Prediction predict(PageBudget& budget, const kernels::TileKernel& kernel, const kernels::ScreenKernel& screen_kernel,
                   const Sample& sample, const SampledQueries& queries, const Basis& basis, const PredictedJob& job) {
  const Coordinates coordinates(budget, kernel, sample, basis, job.workers);
  Shares shares = shares_left(sample, queries, coordinates, screen_kernel.looseness, job.workers);
  if (screen_kernel.stops_early)
    shares.blocks =
        SampledBlocks(budget, screen_kernel, sample, queries, coordinates).shares_left(basis.prefix_dims, job.workers);
  const CostModel model(screen_kernel, job, basis.columns);
  const double making = model.making(basis.prefix_dims);
  const double looked = share_looked(queries, job);
  const double definition = model.definition(queries.share_left(static_cast<double>(coordinates.slack)));
  const bool is_loose = screen_kernel.looseness > 0.0;
  Prediction best;
  best.cost = std::numeric_limits<double>::infinity();
  for (std::uint64_t first = 0; first < coordinates.steps; ++first)
    for (std::uint64_t last = first; last < coordinates.steps; ++last) {
      // A loose bound is made anew from the first coordinate on.
      const std::uint64_t next_dims = last == first ? 0 : (is_loose ? last + 1 : last - first) * kScreenStep;
      const double left = last == first ? shares.loose[first] : shares.exact[last];
      const double pair = model.first_bound((first + 1) * kScreenStep, shares.blocks) +
                          shares.loose[first] * model.next_bound(next_dims) + left * model.bound_by_rows() + definition;
      const double cost = model.share_of_without(making, pair, looked);
      if (cost >= best.cost) continue;
      best = {(first + 1) * kScreenStep, (last - first) * kScreenStep, shares.loose[first], left, cost};
    }
  return best;
}

}  // namespace simtile::screen
