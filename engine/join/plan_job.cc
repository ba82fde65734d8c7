// What a job would do and need, without doing it: job.h.
#include "engine/join/prepared_job.h"
#include "engine/join/screen_setup.h"
#include "simtile/error.h"
#include "simtile/job.h"

namespace simtile {

JobPlan plan_job(const JobInput& input, const JobOptions& options) {
  join::PreparedJob prepared(input, options);
  PageBudget budget(prepared.budget_bytes);
  prepared.open_rows(budget, options.metric);
  join::ScreenSetup screen(prepared, options, budget);
  const bool screened = screen.decide();
  JobPlan plan = prepared.describe(options);
  if (screened) {
    const screen::Prediction& foretold = screen.prediction();
    plan.screen_left_first = foretold.share_left_first;
    plan.screen_left_next = foretold.share_left_next;
    plan.screen_cost = foretold.cost;
    plan.bytes_read += prepared.bytes_read() + static_cast<std::uint64_t>(screen.bytes_to_read());
  }
  return plan;
}

JobPlan plan_job_at_least(const JobInput& input, JobOptions options) {
  try {
    return plan_job(input, options);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kBudgetTooSmall) throw;
  }
  options.budget_bytes = join::smallest_budget_bytes(input, options);
  return plan_job(input, options);
}

}  // namespace simtile
