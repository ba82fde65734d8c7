// Decides whether a job uses a screen, and makes what that needs.
//
//   can it? -> might it pay, by a glance at a few rows? -> directions, from the screen file beside the matrix or from a
//   sample -> does it pay? -> the plan -> the screen files that are missing
//
// Screen files that the job makes for itself lose their names in the work folder as soon as they are whole; what a kill
// leaves of one under way is removed with the rest of the folder by the next run. A resumed job makes them again.
#pragma once

#include <optional>
#include <string>

#include "engine/join/prepared_job.h"
#include "engine/screen/basis.h"
#include "engine/screen/prediction.h"

namespace simtile::join {

class ScreenSetup {
 public:
  // The sides' rows are open, and the budget is charged with the job's fixed bytes.
  ScreenSetup(PreparedJob& job, const JobOptions& options, PageBudget& budget)
      : job_(job), options_(options), budget_(budget), screen_kernel_(kernels::select_screen_kernel(options.isa)) {}

  // Whether a screen is to be used; if so, the job's plan becomes one with it. Reads a sample of the base.
  bool decide();
  // Makes or opens the screen files. The job goes on without a screen where rows turn out to be too long or too short
  // for one, or (unless ScreenUse::kOn) it cannot be written.
  void make_files(const std::string& folder);

  const screen::Prediction& prediction() const noexcept { return prediction_; }
  // Bytes of the matrices, and of the screens for the first bounds, that a screened job is expected to ask for beside
  // what decide() has read and what its tiles stream.
  double bytes_to_read() const noexcept;

 private:
  void open_stored();
  bool find_basis_and_predict();
  bool may_pay(const screen::PredictedJob& predicted, std::uint64_t sampled, std::uint64_t prefix_dims);
  bool make_base(const std::string& folder);
  bool make_queries(const std::string& folder);
  std::unique_ptr<screen::ScreenRows> make_rows(Side& side, const std::string& path);
  void use_screen_shape();
  bool plan_with_screen();
  void do_without();

  PreparedJob& job_;
  const JobOptions& options_;
  PageBudget& budget_;
  const kernels::ScreenKernel& screen_kernel_;
  plan::TilePlan plan_without_;
  plan::Shapes shapes_without_;
  const kernels::ScreenKernel* kernel_without_ = nullptr;
  std::unique_ptr<screen::ScreenRows> stored_;  // the base's, made earlier with `simtile screen`
  std::optional<screen::Basis> basis_;
  screen::Prediction prediction_;
};

}  // namespace simtile::join
