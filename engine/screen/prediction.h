// What a screen would save, foretold from a sample of the rows.
//
// A few sampled rows meet the whole sample: how good a K-th best among all rows must be is extrapolated from the
// sample's best, and the share of pairs whose bound is as good, after each number of coordinates, is counted. A model
// of what each stage costs then chooses how many coordinates to look at, or none.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/screen/basis.h"
#include "engine/screen/sampled_queries.h"

namespace simtile::screen {

struct Prediction {
  std::uint64_t first_dims = 0;  // multiples of kScreenStep; 0: no number of coordinates pays
  std::uint64_t next_dims = 0;
  double share_left_first = 1.0;  // of the pairs, after the first bound
  double share_left_next = 1.0;   // after the second
  double cost = 1.0;              // of the job with the screen, as a share of the job without
};

// What a screen might cost at best, as a share of the job without: with the fewest coordinates in the first bound, and
// directions as good as the products of the sample's rows allow. An estimate, which takes no directions, and so is
// asked for first.
double least_cost(const kernels::ScreenKernel& screen_kernel, const SampledQueries& queries, std::uint64_t columns,
                  std::uint64_t prefix_dims, const PredictedJob& job);

// Looks for the cheapest numbers of coordinates; `cost` says what they would save. Memory: sample rows x
// (columns + 1.1 x prefix_dims + 16) floats at most.
Prediction predict(PageBudget& budget, const kernels::TileKernel& kernel, const kernels::ScreenKernel& screen_kernel,
                   const Sample& sample, const SampledQueries& queries, const Basis& basis, const PredictedJob& job);

}  // namespace simtile::screen
