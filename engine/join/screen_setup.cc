#include "engine/join/screen_setup.h"

#include <algorithm>

#include "engine/plan/memory_model.h"
#include "engine/plan/sample.h"
#include "engine/screen/screen_builder.h"
#include "simtile/error.h"
#include "simtile/screen.h"

namespace simtile::join {
namespace {

constexpr std::uint64_t kFewestStripeRows = 1024;
// Below so many multiplications the sample alone would cost more than a screen can save.
constexpr double kLeastWork = 2e10;
// A screen must promise to save this much: the promise is not exact.
constexpr double kWorthwhileCost = 0.85;
constexpr std::uint64_t kRowsOfAGlance = 1024;

bool can_be_screened(const plan::Shapes& shapes) {
  return !shapes.all_pairs && !shapes.sparse && !shapes.by_fields() && !shapes.few_queries &&
         shapes.dims >= screen::kFewestColumns && shapes.base_rows >= screen::kFewestRows;
}

double multiplications(const plan::Shapes& shapes) {
  return static_cast<double>(shapes.query_rows) * static_cast<double>(shapes.base_rows) *
         static_cast<double>(shapes.dims) * (shapes.self_join ? 0.5 : 1.0);
}

bool norms_fit(const screen::ScreenRows& rows) {
  const storage::ScreenBody& body = rows.body();
  return body.largest_norm == 0.0 ||
         (screen::ScreenMargin::fits(body.smallest_norm) && screen::ScreenMargin::fits(body.largest_norm));
}

}  // namespace

bool ScreenSetup::decide() {
  if (options_.screen == ScreenUse::kOff || !can_be_screened(job_.shapes)) return false;
  if (options_.screen == ScreenUse::kAuto && multiplications(job_.shapes) < kLeastWork) return false;
  plan_without_ = job_.plan;
  shapes_without_ = job_.shapes;
  kernel_without_ = job_.screen_kernel;
  if (find_basis_and_predict() && plan_with_screen()) return true;
  do_without();
  return false;
}

bool ScreenSetup::find_basis_and_predict() {
  const plan::Shapes& shapes = job_.shapes;
  const std::uint64_t sampled = screen::sample_rows(shapes.base_rows, shapes.dims, budget_.remaining_bytes());
  if (sampled < screen::kFewestRows) return false;
  open_stored();
  const screen::PredictedJob predicted{.metric = options_.metric,
                                       .top_k = shapes.top_k,
                                       .query_rows = shapes.query_rows,
                                       .base_rows = shapes.base_rows,
                                       .self_join = shapes.self_join,
                                       .look = shapes.plans_a_look() ? job_.screen_kernel : nullptr,
                                       .guessed_rank = shapes.sample.in_use() ? plan::expected_rank(shapes) : 0.0,
                                       .base_is_screened = stored_ != nullptr,
                                       .workers = {shapes.threads, options_.stop}};
  const std::uint64_t prefix_dims =
      stored_ ? stored_->prefix_dims() : screen::preferred_prefix_dims(shapes.dims, sampled);
  if (stored_) basis_ = stored_->load_basis(budget_);  // whoever made the file should hear of it if it is damaged
  const bool must = options_.screen == ScreenUse::kOn;
  if (!must && !may_pay(predicted, std::min(sampled, kRowsOfAGlance), prefix_dims)) return false;
  const screen::Sample sample(budget_, *job_.kernel, *job_.base->dense, shapes.base_rows, shapes.dims, sampled,
                              predicted.workers);
  const screen::SampledQueries queries(budget_, *job_.kernel, sample, shapes.dims, predicted);
  if (!basis_) basis_ = screen::make_basis(budget_, *job_.kernel, sample, shapes.dims, prefix_dims, predicted.workers);
  if (!screen::ScreenMargin(shapes.dims, basis_->prefix_dims, basis_->error).is_usable()) return false;
  prediction_ = screen::predict(budget_, *job_.kernel, screen_kernel_, sample, queries, *basis_, predicted);
  use_screen_shape();
  return must || prediction_.cost <= kWorthwhileCost;
}

// By a glance at a few rows, which a job without a screen can afford.
bool ScreenSetup::may_pay(const screen::PredictedJob& predicted, std::uint64_t sampled, std::uint64_t prefix_dims) {
  const std::uint64_t dims = job_.shapes.dims;
  const screen::Sample sample(budget_, *job_.kernel, *job_.base->dense, predicted.base_rows, dims, sampled,
                              predicted.workers);
  const screen::SampledQueries queries(budget_, *job_.kernel, sample, dims, predicted);
  return screen::least_cost(screen_kernel_, queries, dims, prefix_dims, predicted) <= kWorthwhileCost;
}

void ScreenSetup::use_screen_shape() {
  const kernels::ScreenKernel& kernel = screen_kernel_;
  plan::ScreenShape& shape = job_.shapes.screen;
  job_.shapes.rounded_floats = 0;
  job_.shapes.sample = {};  // a screen has better bounds (seed_bounds.h)
  shape.prefix_dims = basis_->prefix_dims;
  shape.first_dims = prediction_.first_dims;
  shape.next_dims = prediction_.next_dims;
  shape.next_begin = kernel.looseness == 0.0 ? shape.first_dims : 0;
  shape.stops = kernel.stops_early ? plan::ScreenShape::most_stops(shape.first_dims) : 0;
  shape.panel_floats = kernel.floats_of_row(static_cast<std::uint32_t>(shape.panel_dims()));
  job_.shapes.query_width = kernel.query_width;
  job_.shapes.base_width = kernel.base_width;
  job_.screen_kernel = &kernel;
}

// Where the budget leaves room for short stripes alone, making each base row ready for a screen costs more than it
// saves.
bool ScreenSetup::plan_with_screen() {
  const std::uint64_t rows = job_.shapes.query_rows;
  const std::uint64_t least = std::min({kFewestStripeRows, std::max(kFewestStripeRows / 2, rows / 12), rows});
  try {
    job_.make_plan_anew();
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kBudgetTooSmall) throw;
    return false;
  }
  return job_.plan.stripe_rows >= least;
}

// One of another matrix is not this job's. A damaged one is an error; where one cannot be read, the job makes its own
// unless a screen was asked for.
void ScreenSetup::open_stored() {
  const storage::MatrixFile& matrix = job_.base->matrix;
  const std::string path = default_screen_path(matrix.path());
  if (!os::exists(path)) return;
  try {
    stored_ = std::make_unique<screen::ScreenRows>(path, budget_);
  } catch (const Error& error) {
    if (error.code() == ErrorCode::kCorrupt || options_.screen == ScreenUse::kOn) throw;
    return;
  }
  const storage::ScreenBody& body = stored_->body();
  if (body.matrix_identity != matrix.identity() || body.columns != matrix.columns() || body.rows != matrix.rows() ||
      !norms_fit(*stored_))
    stored_.reset();
}

// A screen that cannot be written (a full disk, rows too long for one) is no reason for the job to fail.
void ScreenSetup::make_files(const std::string& folder) {
  try {
    const bool done = make_base(folder) && make_queries(folder);
    if (!done) do_without();
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kIo || options_.screen == ScreenUse::kOn) throw;
    do_without();
  }
  basis_.reset();
}

bool ScreenSetup::make_base(const std::string& folder) {
  job_.base->screen = stored_ ? std::move(stored_) : make_rows(*job_.base, folder + "/base.screen");
  return job_.base->screen != nullptr;
}

bool ScreenSetup::make_queries(const std::string& folder) {
  if (!job_.queries) return true;
  job_.queries->screen = make_rows(*job_.queries, folder + "/queries.screen");
  return job_.queries->screen != nullptr;
}

// Null where the rows can have none, or the budget has no room to make it.
std::unique_ptr<screen::ScreenRows> ScreenSetup::make_rows(Side& side, const std::string& path) {
  if (screen::build_bytes(*job_.kernel, basis_->prefix_dims, job_.shapes.dims, side.matrix.row_stride_bytes(),
                          job_.shapes.threads) > budget_.remaining_bytes())
    return nullptr;
  screen::BuildOptions build;
  build.threads = job_.shapes.threads;
  build.stop = options_.stop;
  build.durability = storage::Durability::kTemporary;
  if (!screen::build_screen(budget_, *job_.kernel, side.matrix, *side.dense, *basis_, path, build)) return nullptr;
  auto rows = std::make_unique<screen::ScreenRows>(path, budget_);
  os::remove_file(path);
  return rows;
}

// The files are made in one pass, the first bounds in another, and rows are loaded for the pairs that are left.
double ScreenSetup::bytes_to_read() const noexcept {
  const plan::Shapes& shapes = job_.shapes;
  const auto base_rows = static_cast<double>(shapes.base_rows);
  const auto query_rows = shapes.self_join ? 0.0 : static_cast<double>(shapes.query_rows);
  const auto base_row_bytes = static_cast<double>(shapes.base.bytes_read());
  const auto query_row_bytes = static_cast<double>(shapes.query.bytes_read());
  const double made = (stored_ ? 0.0 : base_rows * base_row_bytes) + query_rows * query_row_bytes;
  const double for_first_bounds = base_rows * base_row_bytes + query_rows * query_row_bytes +
                                  (base_rows + query_rows) * static_cast<double>(plan::streamed_row_bytes(shapes));
  return made + for_first_bounds +
         base_row_bytes * plan::rows_loaded_for_survivors(shapes, job_.plan, prediction_.share_left_next);
}

void ScreenSetup::do_without() {
  stored_.reset();
  basis_.reset();
  job_.base->screen.reset();
  if (job_.queries) job_.queries->screen.reset();
  job_.shapes = shapes_without_;
  job_.plan = plan_without_;
  job_.screen_kernel = kernel_without_;
}

}  // namespace simtile::join
