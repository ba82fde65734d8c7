// How fast this machine scores a plan's tiles: the plan's own kernel and shape on made-up rows, for a moment.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <vector>

#include "engine/base/arena.h"
#include "engine/base/checked.h"
#include "engine/base/clock.h"
#include "engine/kernels/tile_kernel.h"
#include "engine/plan/tile_plan.h"
#include "engine/topk/candidate_key.h"
#include "simtile/job.h"

namespace simtile {
namespace {

// Several fields' first look leaves sparse scores and pairs near the thresholds to other kernels, which take longer
// than it. The time of the dense product that it saves stands for all: rather too long than too short.
bool looks_first(const JobPlan& plan) { return !plan.first_look_isa.empty() && plan.fields.empty(); }

// What the plan's strips are made of.
struct Panels {
  std::uint32_t query_width, base_width;
  std::uint32_t dims;
  std::size_t row_floats;
};
Panels panels_of(const JobPlan& plan) {
  const auto dims = static_cast<std::uint32_t>(plan.product_dims);
  if (!looks_first(plan)) {
    const kernels::TileKernel& kernel = kernels::select_kernel(plan.isa);
    return {kernel.query_width, kernel.base_width, dims, dims};
  }
  const kernels::ScreenKernel& first = kernels::select_look_kernel(Isa::kAuto);
  return {first.query_width, first.base_width, dims + 1, first.floats_of_row(dims + 1)};
}

void score_strip(const JobPlan& plan, const kernels::Strip& strip, kernels::Survivors& for_queries,
                 kernels::Survivors& for_bases) {
  if (looks_first(plan)) {
    kernels::select_look_kernel(Isa::kAuto).inner_product(strip, for_queries);
    return;
  }
  const kernels::TileKernel& kernel = kernels::select_kernel(plan.isa);
  (plan.metric == Metric::kL2 ? kernel.squared_l2 : kernel.inner_product)(strip, for_queries, for_bases);
}

// One worker's turn: strips of a query panel against a tile's panels until time is up. Returns the pairs scored.
std::uint64_t score_until(Clock::time_point end, const JobPlan& plan) {
  const Panels panels = panels_of(plan);
  const std::uint64_t columns = round_up(std::max<std::uint64_t>(1, plan.tile_columns), panels.base_width);
  const bool larger_better = topk::larger_is_better(plan.metric) || looks_first(plan);
  const std::vector<float> query(panels.query_width * panels.row_floats, 0.5f);
  const std::vector<float> base(columns * panels.row_floats, 0.25f);
  const std::vector<float> closed(columns + panels.query_width, topk::closed_threshold(larger_better));
  std::vector<float> partial(panels.query_width * columns);
  std::vector<float> scores(panels.query_width * columns + kernels::kSurvivorSlack);
  std::vector<std::uint32_t> pairs(scores.size());
  kernels::Survivors for_queries{scores.data(), pairs.data(), 0};
  kernels::Survivors for_bases = for_queries;  // nothing passes closed thresholds
  const kernels::Strip strip{query.data(),
                             base.data(),
                             closed.data(),
                             closed.data(),
                             partial.data(),
                             panels.dims,
                             panels.query_width,
                             static_cast<std::uint32_t>(columns / panels.base_width),
                             0};
  std::uint64_t scored = 0;
  while (Clock::now() < end) {
    score_strip(plan, strip, for_queries, for_bases);
    scored += panels.query_width * columns;
  }
  return scored;
}

}  // namespace

double calibrate_flops_per_second(const JobPlan& plan, double seconds) {
  const bool few_queries = !plan.self_join && plan.fields.empty() && plan.query_rows <= plan::kFewQueries;
  if ((plan.sparse && plan.fields.empty()) || plan.product_dims == 0 || few_queries) return 0.0;
  std::atomic<std::uint64_t> scored{0};
  const auto start = Clock::now();
  const auto end = start + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
  parallel_for_each(plan.threads, 0, plan.threads, 1, [&](std::uint64_t) { scored += score_until(end, plan); });
  const double elapsed = std::chrono::duration<double>(Clock::now() - start).count();
  return 2.0 * static_cast<double>(scored.load()) * static_cast<double>(plan.product_dims) / elapsed;
}

}  // namespace simtile
