// The main job from end to end: open, plan, resume, run, publish.
//
//   prepare()   opens the matrices and plans
//   Run         owns the running job: state, pipeline, checkpoints
//   AnswerWriter  appends rows to the neighbours file as they become final
#include "simtile/job.h"

#include <algorithm>
#include <chrono>
#include <memory>
#include <thread>

#include "engine/base/arena.h"
#include "engine/join/answer_writer.h"
#include "engine/join/journal.h"
#include "engine/join/pipeline.h"
#include "engine/join/prepared_job.h"
#include "engine/join/rss_sampler.h"
#include "engine/join/screen_setup.h"
#include "engine/join/seed_bounds.h"
#include "engine/join/series_recorder.h"
#include "engine/join/topk_state.h"
#include "engine/memory/process_memory.h"
#include "simtile/error.h"

namespace simtile {
namespace join {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

// A checkpoint may take this share of the time between two of them.
constexpr double kCheckpointShare = 0.04;

constexpr std::uint64_t kRowsSortedByOneTask = 256;

// A screened job's are those of its stages.
double flops_done(const plan::Shapes& shapes, const PipelineStatistics& statistics) {
  const auto dims = static_cast<double>(shapes.product_dims());
  const auto pairs = static_cast<double>(statistics.pairs_scored);
  if (!shapes.screen.in_use()) return 2.0 * pairs * dims;
  const ScreenCounts& left = statistics.screen;
  return 2.0 * (pairs * static_cast<double>(shapes.screen.panel_dims()) +
                static_cast<double>(left.first) * static_cast<double>(shapes.screen.next_dims) +
                static_cast<double>(left.next + left.scored) * dims);
}

class Run {
 public:
  Run(PreparedJob& prepared, const JobOptions& options, const std::string& output_path);
  JobReport finish();

 private:
  void restore();
  void compute();
  template <typename Write>
  void writing(Write write);
  void write_finished_rows();
  void checkpoint();
  void write_pairs();
  void put_by_quietly();
  void report_progress();
  double share_done(std::uint64_t rows) const;
  std::uint64_t bytes_read() const;
  RunSeries::Sample sample_of_now() const;

  PreparedJob& prepared_;
  const JobOptions& options_;
  Clock::time_point start_ = Clock::now();
  PageBudget budget_;
  RssSampler sampler_;
  WorkFolder folder_;
  double seconds_screen_ = 0.0;
  std::optional<TopKState> state_;
  std::optional<AnswerWriter> answer_;
  bool writing_failed_ = false;
  Checkpoint done_;                 // what is on disk; rows_done of it are final
  std::uint64_t rows_resumed_ = 0;  // of those, by an earlier process
  std::size_t finished_synced_ = 0;
  std::unique_ptr<Pipeline> pipeline_;
  std::optional<SeriesRecorder> series_;
  Clock::time_point last_checkpoint_ = Clock::now();
  double checkpoint_cost_seconds_ = 0.0;
  std::uint64_t bytes_written_ = 0;
};

std::string work_path(const JobOptions& options, const std::string& output_path) {
  return options.work_dir.empty() ? output_path + ".work" : options.work_dir;
}

Run::Run(PreparedJob& prepared, const JobOptions& options, const std::string& output_path)
    : prepared_(prepared),
      options_(options),
      budget_(prepared.budget_bytes),
      folder_(work_path(options, output_path),
              {prepared.identity(), prepared.shapes.query_rows, prepared.shapes.base_rows}) {
  prepared.open_rows(budget_, options.metric);
  ScreenSetup screen(prepared, options, budget_);
  if (screen.decide()) screen.make_files(folder_.path());
  seconds_screen_ = seconds_since(start_);
  state_.emplace(budget_, prepared.shapes, prepared.plan,
                 topk::bound_of_min_score(topk::larger_is_better(options.metric), options.min_score), *prepared.kernel,
                 folder_);
  answer_.emplace(output_path, prepared, options);
}

// Takes up what an earlier process left, or clears the folder.
void Run::restore() {
  std::optional<Checkpoint> earlier;
  if (!options_.fresh) earlier = folder_.load();
  if (!earlier || earlier->rows_done > prepared_.shapes.query_rows) {
    folder_.clear();
    return;
  }
  done_ = std::move(*earlier);
  rows_resumed_ = done_.rows_done;
  if (state_->pair_store() == nullptr) answer_->append_finished(folder_, done_, options_.stop);
  state_->restore(done_.candidates, done_.rows_done);
}

void Run::compute() {
  if (prepared_.shapes.screen.in_use()) {
    const auto seeding_start = Clock::now();
    seed_bounds(prepared_, options_.metric, budget_, *state_, done_.rows_done, options_.stop);
    seconds_screen_ += seconds_since(seeding_start);
  }
  series_.emplace(prepared_.shapes, prepared_.plan);
  Pipeline::Job job{prepared_.query_side(),
                    &*prepared_.base,
                    prepared_.shapes,
                    prepared_.plan,
                    prepared_.kernel,
                    prepared_.screen_kernel,
                    options_.metric,
                    options_.stop,
                    [this](const plan::Tile& tile, double seconds) {
                      series_->add_tile(tile, seconds);
                      if (sampler_.sample()) series_->add_sample(sample_of_now());
                      report_progress();
                    },
                    [this](std::uint64_t end) { writing([&] { answer_->append_rows(*state_, end); }); }};
  pipeline_ = std::make_unique<Pipeline>(std::move(job), budget_, *state_, done_.rows_done);
  const auto checkpoint_due = [this] {
    if (options_.checkpoint_seconds <= 0.0) return true;
    const double wait = std::max(options_.checkpoint_seconds, checkpoint_cost_seconds_ / kCheckpointShare);
    return seconds_since(last_checkpoint_) >= wait;
  };
  while (!pipeline_->at_end()) {
    pipeline_->run_segment(checkpoint_due);
    if (pipeline_->stopped()) {
      writing([&] { checkpoint(); });
      throw Error(ErrorCode::kInterrupted, "interrupted after " + std::to_string(done_.rows_done) + " of " +
                                               std::to_string(prepared_.shapes.query_rows) +
                                               " rows were put by; run the same command again to go on from there");
    }
    writing([&] {
      if (!state_->is_resident()) {
        write_finished_rows();
        answer_->append_rows(*state_, pipeline_->rows_done());
      }
      if (!pipeline_->at_end() && checkpoint_due()) checkpoint();
    });
  }
}

// Remembers that it was writing that failed, and not the work.
template <typename Write>
void Run::writing(Write write) {
  try {
    write();
  } catch (const Error&) {
    writing_failed_ = true;
    throw;
  }
}

// Puts the rows that became final since the last call into a finished run.
void Run::write_finished_rows() {
  const std::uint64_t end = pipeline_->rows_done();
  if (end == done_.rows_done) return;
  RunWriter writer(folder_.path(), folder_.next_serial(), folder_.scope().job_identity);
  for (std::uint64_t row = done_.rows_done; row < end; ++row)
    for (const topk::Key key : state_->sorted(row)) writer.append(RunEntry::of(row, key));
  done_.finished.push_back(writer.finish(false));
  done_.rows_done = end;
  bytes_written_ += writer.bytes();
}

// Puts by all that is known of rows that are not final. When a job is stopped in the middle of a stripe, that includes
// pairs of the stripe under way; they are told by their partner, which is not done, and dropped when the job goes on.
void Run::checkpoint() {
  const auto start = Clock::now();
  if (PairStore* pairs = state_->pair_store()) {
    done_.rows_done = pipeline_->rows_done();
    done_.candidates = pairs->flush_durably();
  } else {
    parallel_for_each(prepared_.shapes.threads, std::max(done_.rows_done, state_->held_begin()), state_->held_end(),
                      kRowsSortedByOneTask, [&](std::uint64_t row) { state_->sorted(row); });
    write_finished_rows();
  }
  if (prepared_.shapes.self_join && !prepared_.shapes.all_pairs) {
    RunWriter writer(folder_.path(), folder_.next_serial(), folder_.scope().job_identity);
    for (std::uint64_t row = std::max(done_.rows_done, state_->held_begin()); row < state_->held_end(); ++row)
      for (const topk::Key key : state_->sorted(row)) writer.append(RunEntry::of(row, key));
    done_.candidates = {writer.finish(true)};
    bytes_written_ += writer.bytes();
  }
  if (Spill* spill = state_->spill_store()) {
    spill->flush_durably();
    done_.candidates.insert(done_.candidates.end(), spill->runs().begin(), spill->runs().end());
  }
  for (; finished_synced_ < done_.finished.size(); ++finished_synced_)
    os::File::open_for_reading(run_path(folder_.path(), done_.finished[finished_synced_].serial)).sync();
  folder_.publish(done_);
  last_checkpoint_ = Clock::now();
  checkpoint_cost_seconds_ = seconds_since(start);
}

// All pairs are sorted only when the last is found: what is known is put by first.
void Run::write_pairs() {
  PairStore* pairs = state_->pair_store();
  if (pairs == nullptr) return;
  checkpoint();
  answer_->append_pairs(*pairs, prepared_.shapes.query_rows, options_.stop);
}

// A full disk must not cost the work: what is done is put by, in the space that the unfinished answer gives back. Not
// so when a tile failed as well: what it read may be in the state.
void Run::put_by_quietly() {
  if (!writing_failed_ || pipeline_->scoring_failed()) return;
  try {
    checkpoint();
  } catch (const Error&) {
    // The first failure is the one to report.
  }
}

double Run::share_done(std::uint64_t rows) const {
  const plan::Shapes& shapes = prepared_.shapes;
  const auto total = static_cast<double>(plan::pairs_of_rows(shapes, 0, shapes.query_rows));
  return total > 0 ? static_cast<double>(plan::pairs_of_rows(shapes, 0, rows)) / total : 1.0;
}

std::uint64_t Run::bytes_read() const {
  return prepared_.base->loaded_bytes() + (prepared_.queries ? prepared_.queries->loaded_bytes() : 0);
}

RunSeries::Sample Run::sample_of_now() const {
  return {.seconds = seconds_since(start_),
          .fraction_done = share_done(pipeline_->rows_done()),
          .rss_anon_bytes = sampler_.last().rss_anon_bytes,
          .rss_file_bytes = sampler_.last().rss_file_bytes,
          .bytes_read = bytes_read()};
}

void Run::report_progress() {
  if (!options_.progress) return;
  const std::uint64_t rows = pipeline_->rows_done();
  options_.progress(
      {rows, prepared_.shapes.query_rows, seconds_since(start_), share_done(rows), share_done(rows_resumed_)});
}

JobReport Run::finish() {
  restore();
  JobReport report;
  Clock::time_point merge_start;
  try {
    compute();
    merge_start = Clock::now();
    writing([&] { write_pairs(); });
    writing([&] { report.output_xxh3 = answer_->finish(); });
  } catch (const Error&) {
    answer_.reset();
    put_by_quietly();
    throw;
  }
  folder_.remove();
  const PipelineStatistics statistics = pipeline_->statistics();
  report.seconds_merge = seconds_since(merge_start);
  report.plan = prepared_.describe(options_);
  report.seconds_compute = statistics.seconds_compute / prepared_.shapes.threads;
  report.seconds_io_wait = statistics.seconds_io_wait;
  report.pairs_scored = statistics.pairs_scored;
  report.flops = flops_done(prepared_.shapes, statistics);
  report.candidates = statistics.candidates;
  report.screened = prepared_.shapes.screen.in_use();
  report.pairs_dropped_by_tile = statistics.screen.dropped;
  report.pairs_left_first = statistics.screen.first;
  report.pairs_left_next = statistics.screen.next;
  report.pairs_by_definition = statistics.screen.scored;
  report.seconds_screen = seconds_screen_;
  report.discarded_other_job = folder_.found_other_job();
  report.tiles_resumed = report.plan.tiles_total - std::min(report.plan.tiles_total, statistics.tiles_done);
  report.bytes_read = bytes_read();
  report.input_bytes = prepared_.base->matrix.container().header().file_bytes +
                       (prepared_.queries ? prepared_.queries->matrix.container().header().file_bytes : 0);
  if (const PairStore* pairs = state_->pair_store()) report.bytes_spilled = pairs->bytes_written();
  report.bytes_spilled += bytes_written_ + (state_->spill_store() ? state_->spill_store()->bytes_written() : 0);
  sampler_.sample_now();
  report.series = series_->finish(sample_of_now());
  report.peak_rss_bytes = read_process_memory().peak_rss_bytes;
  report.peak_rss_anon_bytes = sampler_.peak_anon_bytes();
  report.peak_rss_file_bytes = sampler_.peak_file_bytes();
  report.seconds = seconds_since(start_);
  return report;
}

}  // namespace
}  // namespace join

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

JobReport run_job(const JobInput& input, const std::string& output_path, const JobOptions& options) {
  if (os::is_directory(output_path))
    throw Error(ErrorCode::kInvalidArgument, "the output '" + output_path + "' is a folder; name a file");
  join::PreparedJob prepared(input, options);
  return join::Run(prepared, options, output_path).finish();
}

}  // namespace simtile
