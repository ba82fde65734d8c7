// A job that has been opened and planned, and not yet begun.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/join/side.h"
#include "engine/kernels/tile_kernel.h"
#include "engine/plan/tile_plan.h"
#include "engine/storage/neighbours_file.h"
#include "engine/storage/neighbours_layout.h"
#include "simtile/job.h"

namespace simtile::join {

struct PreparedJob {
  // Opens the matrices, checks that they go together, and plans within the budget. Throws as run_job() does.
  PreparedJob(const JobInput& input, const JobOptions& options);
  PreparedJob(const PreparedJob&) = delete;
  PreparedJob& operator=(const PreparedJob&) = delete;

  // Charges the budget with what the plan does not count, and makes the sides' rows ready to be leased.
  void open_rows(PageBudget& budget, Metric metric);
  Side* query_side() noexcept { return queries ? &*queries : &*base; }
  // Of the matrices and screens, so far.
  std::uint64_t bytes_read() const noexcept { return base->loaded_bytes() + (queries ? queries->loaded_bytes() : 0); }

  // For shapes that have changed.
  void make_plan_anew();
  // The same, where an earlier process has settled how often pairs are scored.
  void take_pair_scoring(PairScoring pairs);
  // Takes this sample for the job's, or none; false where the budget has no room to search it.
  bool take_sample(const plan::Sample& sample);
  // The search in it for the query rows from first_row on, and how it is done.
  plan::Shapes sample_search(std::uint64_t first_row) const;
  const std::optional<plan::TilePlan>& sample_plan() const noexcept { return sample_plan_; }

  // The inputs' identities and what defines the answer, hashed: what a journal must match to be resumed.
  std::uint64_t identity() const noexcept { return identity_; }
  // Whether this neighbours file is the job's answer.
  bool is_answered_by(const storage::NeighboursFile& file, const JobOptions& options) const;
  storage::NeighboursBody neighbours_body(const JobOptions& options) const;
  // The fields as the neighbours file names them; none where the job comes down to one matrix of weight 1.
  std::span<const storage::FieldEntry> field_entries() const noexcept {
    return is_plain() ? std::span<const storage::FieldEntry>() : field_entries_;
  }
  JobPlan describe(const JobOptions& options) const;

  std::vector<JobField> fields;  // that count; one without a name in a job on plain matrices
  std::optional<Side> base;
  std::optional<Side> queries;  // absent in a self-join
  std::uint64_t budget_bytes = 0;
  const kernels::TileKernel* kernel = nullptr;
  const kernels::ScreenKernel* screen_kernel = nullptr;  // of a first look, or of the screen where there is one
  plan::Shapes shapes;
  plan::TilePlan plan;

 private:
  void plan_first_look();
  void plan_sample();
  bool is_plain() const noexcept;
  std::optional<plan::TilePlan> sample_plan_;
  std::vector<storage::FieldEntry> field_entries_;
  std::uint64_t identity_ = 0;
};

// Whether the answer is every pair that is good enough, instead of each row's top K.
inline bool wants_all_pairs(const JobOptions& options) noexcept { return options.top_k == 0 && options.min_score; }

std::uint32_t available_processors();
// What a process with so many threads holds before anything is planned: itself, and what its work will touch of code,
// stacks and heap.
std::uint64_t process_bytes(std::uint32_t threads);

// The folder for what the job puts by.
std::string work_path(const JobOptions& options, const std::string& output_path);

// The smallest budget with which the job can be prepared.
std::uint64_t smallest_budget_bytes(const JobInput& input, const JobOptions& options);

}  // namespace simtile::join
