// What a screen would save, foretold from a sample of the rows.
//
// A few sampled rows meet the whole sample: how good a K-th best among all rows must be is extrapolated from the
// sample's best, and the share of pairs whose bound is as good, after each number of coordinates, is counted. A model
// of what each stage costs then chooses how many coordinates to look at, or none.
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
  bool looks_first = false;  // without a screen, the same kernel takes a first look at all coordinates
  Workers workers;
};

struct Prediction {
  std::uint64_t first_dims = 0;  // multiples of kScreenStep; 0: no number of coordinates pays
  std::uint64_t next_dims = 0;
  double share_left_first = 1.0;  // of the pairs, after the first bound
  double share_left_next = 1.0;   // after the second
  double cost = 1.0;              // of the job with the screen, as a share of the job without
};

// Looks for the cheapest numbers of coordinates; `cost` says what they would save. Memory: sample rows x
// (columns + 2 x prefix_dims) floats at most.
Prediction predict(PageBudget& budget, const kernels::TileKernel& kernel, const kernels::ScreenKernel& screen_kernel,
                   const Sample& sample, const Basis& basis, const PredictedJob& job);

}  // namespace simtile::screen
