// The main job from end to end: open, plan, resume, run, publish.
//
//   PreparedJob   opens the matrices and plans
//   Run           owns the running job: state, pipeline; says in the report how it went
//   Checkpointer  puts by what is known, for a rerun to go on from
//   AnswerWriter  appends rows to the neighbours file as they become final; a shard has none, and puts all by instead
#include "simtile/job.h"

#include <algorithm>
#include <memory>
#include <thread>

#include "engine/base/clock.h"
#include "engine/join/answer_writer.h"
#include "engine/join/checkpointer.h"
#include "engine/join/guessed_bounds.h"
#include "engine/join/job_fields.h"
#include "engine/join/journal.h"
#include "engine/join/pipeline.h"
#include "engine/join/prepared_job.h"
#include "engine/join/rss_sampler.h"
#include "engine/join/screen_setup.h"
#include "engine/join/seed_bounds.h"
#include "engine/join/series_recorder.h"
#include "engine/join/shard_folder.h"
#include "engine/join/topk_state.h"
#include "engine/memory/process_memory.h"
#include "simtile/error.h"

namespace simtile {
namespace join {
namespace {

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
  bool was_finished();
  void prepare();
  void take_earlier_pair_scoring();
  void take_earlier_sample();
  bool puts_candidates_by() const noexcept;
  void restore();
  std::unique_ptr<Side> draw_sample();
  void find_first_bounds();
  void compute();
  template <typename Write>
  void writing(Write write);
  void write_pairs();
  void put_by_quietly();
  void report_progress();
  double share_done(std::uint64_t rows) const;
  RunSeries::Sample sample_of_now() const;

  PreparedJob& prepared_;
  const JobOptions& options_;
  const std::string& output_path_;
  Clock::time_point start_ = Clock::now();
  std::uint64_t from_storage_before_ = bytes_from_storage();
  std::uint64_t to_storage_before_ = bytes_to_storage();
  PageBudget budget_;
  RssSampler sampler_;
  WorkFolder folder_;
  double seconds_screen_ = 0.0;
  std::optional<TopKState> state_;
  std::optional<Checkpointer> checkpointer_;
  std::optional<AnswerWriter> answer_;                 // unless this is a shard
  std::optional<Checkpoint> earlier_;                  // what an earlier process left
  PairScoring own_pair_scoring_ = PairScoring::kAuto;  // were there no earlier one
  bool writing_failed_ = false;
  std::uint64_t rows_resumed_ = 0;  // final by an earlier process
  bool began_again_ = false;
  std::uint64_t sample_bytes_read_ = 0;
  std::unique_ptr<Pipeline> pipeline_;
  std::optional<SeriesRecorder> series_;
};

std::string folder_path(const JobOptions& options, const std::string& output_path) {
  const std::string path = work_path(options, output_path);
  return options.shard ? shard_path(path, *options.shard) : path;
}

RunScope run_scope(const PreparedJob& prepared, const JobOptions& options) {
  if (options.shard) return shard_scope(prepared.identity(), prepared.shapes, *options.shard);
  return {prepared.identity(), prepared.shapes.query_rows, prepared.shapes.base_rows};
}

Run::Run(PreparedJob& prepared, const JobOptions& options, const std::string& output_path)
    : prepared_(prepared),
      options_(options),
      output_path_(output_path),
      budget_(prepared.budget_bytes),
      folder_(options.shard ? make_shard_path(work_path(options, output_path), *options.shard)
                            : work_path(options, output_path),
              run_scope(prepared, options)) {
  rows_resumed_ = prepared.shapes.query_begin();
  if (options.fresh) return;
  earlier_ = folder_.load();
  // Without rows that are final there is nothing to go on from.
  if (earlier_ && earlier_->rows_done <= rows_resumed_ && !was_finished()) earlier_.reset();
}

bool Run::was_finished() { return options_.shard && earlier_ && is_finished(*earlier_, prepared_.shapes); }

void Run::prepare() {
  take_earlier_pair_scoring();
  prepared_.open_rows(budget_, options_.metric);
  ScreenSetup screen(prepared_, options_, budget_);
  if (screen.decide()) screen.make_files(folder_.path());
  seconds_screen_ = seconds_since(start_);
  take_earlier_sample();
  state_.emplace(budget_, prepared_.shapes, prepared_.plan,
                 topk::bound_of_min_score(topk::larger_is_better(options_.metric), options_.min_score),
                 *prepared_.kernel, folder_);
  checkpointer_.emplace(folder_, prepared_.shapes, prepared_.plan, *state_, options_.checkpoint_seconds);
  if (!options_.shard) answer_.emplace(output_path_, prepared_, options_);
}

// A self-join that scored pairs once put by what its final rows found for the others, one that scored them twice did
// not: the rest is scored in the same way.
void Run::take_earlier_pair_scoring() {
  const plan::Shapes& shapes = prepared_.shapes;
  if (!earlier_ || !shapes.self_join || shapes.all_pairs || options_.shard) return;
  own_pair_scoring_ = shapes.pairs;
  prepared_.take_pair_scoring(earlier_->scores_twice ? PairScoring::kTwice : PairScoring::kOnce);
}

// What was put by of later rows is what the bounds let in that the job began with (guessed_bounds.h): it goes on with
// the same, or begins again where this budget has no room for them.
void Run::take_earlier_sample() {
  if (!earlier_ || !puts_candidates_by() || earlier_->sample == prepared_.shapes.sample) return;
  if (prepared_.take_sample(earlier_->sample)) return;
  earlier_.reset();
  began_again_ = true;
  prepared_.take_sample({});
  prepared_.take_pair_scoring(own_pair_scoring_);
}

// A search puts nothing by but rows that are done, nor does a self-join that scores pairs twice.
bool Run::puts_candidates_by() const noexcept { return plan::meets_later_rows_alone(prepared_.shapes, prepared_.plan); }

// Takes up what an earlier process left, or clears the folder.
void Run::restore() {
  if (!earlier_ || earlier_->rows_done > prepared_.shapes.query_end()) {
    folder_.clear();
    return;
  }
  if (!puts_candidates_by() && !prepared_.shapes.all_pairs && !earlier_->candidates.empty())
    throw Error(ErrorCode::kCorrupt, "the journal in '" + folder_.path() +
                                         "' names candidates, which this job has none of; start the job over with "
                                         "--fresh");
  checkpointer_->take_up(std::move(*earlier_));
  const Checkpoint& done = checkpointer_->done();
  rows_resumed_ = done.rows_done;
  if (answer_ && state_->pair_store() == nullptr) answer_->append_finished(folder_, done, options_.stop);
  state_->restore(done.candidates, done.rows_done);
}

// A sample that cannot be written (a full disk) is no reason for the job to fail, unless it must go on with one.
std::unique_ptr<Side> Run::draw_sample() {
  if (!prepared_.shapes.sample.in_use()) return nullptr;
  try {
    return write_sample(prepared_, options_.metric, folder_.path(), budget_);
  } catch (const Error& error) {
    const bool must = rows_resumed_ > prepared_.shapes.query_begin() && puts_candidates_by();
    if (error.code() != ErrorCode::kIo || must) throw;
    prepared_.take_sample({});
    return nullptr;
  }
}

void Run::find_first_bounds() {
  if (rows_resumed_ >= prepared_.shapes.query_end()) return;
  const auto start = Clock::now();
  if (const std::unique_ptr<Side> sample = draw_sample()) {
    guess_bounds(prepared_, *sample, options_, budget_, folder_, *state_, rows_resumed_, [this] { sampler_.sample(); });
    sample_bytes_read_ = sample->loaded_bytes();
  }
  if (prepared_.shapes.screen.in_use())
    seed_bounds(prepared_, options_.metric, budget_, *state_, rows_resumed_, options_.stop);
  seconds_screen_ += seconds_since(start);
}

void Run::compute() {
  find_first_bounds();
  checkpointer_->start_clock();
  series_.emplace(prepared_.shapes, prepared_.plan);
  Pipeline::Job job{prepared_.query_side(),
                    &*prepared_.base,
                    prepared_.shapes,
                    prepared_.plan,
                    prepared_.budget_bytes,
                    prepared_.kernel,
                    prepared_.screen_kernel,
                    options_.metric,
                    options_.stop,
                    options_.memory_is_short,
                    [this](const plan::Tile& tile, double seconds) {
                      series_->add_tile(tile, seconds);
                      if (sampler_.sample()) series_->add_sample(sample_of_now());
                      report_progress();
                    },
                    [this](std::uint64_t end) {
                      if (answer_) writing([&] { answer_->append_rows(*state_, end); });
                    }};
  pipeline_ = std::make_unique<Pipeline>(std::move(job), budget_, *state_, rows_resumed_);
  while (!pipeline_->at_end()) {
    pipeline_->run_segment([this](std::uint64_t rows_done) { return checkpointer_->is_due(rows_done); });
    if (pipeline_->stopped()) {
      writing([&] { checkpointer_->put_by_all(pipeline_->rows_done()); });
      throw Error(ErrorCode::kInterrupted,
                  "interrupted after " + std::to_string(pipeline_->rows_done() - prepared_.shapes.query_begin()) +
                      " of " + std::to_string(prepared_.shapes.query_end() - prepared_.shapes.query_begin()) +
                      " rows were put by; run the same command again to go on from there");
    }
    writing([&] {
      if (!state_->is_resident()) {
        checkpointer_->put_by_final_rows(pipeline_->rows_done());
        if (answer_) answer_->append_rows(*state_, pipeline_->rows_done());
      }
      if (!pipeline_->at_end() && checkpointer_->is_due(pipeline_->rows_done()))
        checkpointer_->put_by_all(pipeline_->rows_done());
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

// All pairs are sorted only when the last is found: what is known is put by first.
void Run::write_pairs() {
  PairStore* pairs = state_->pair_store();
  if (pairs == nullptr) return;
  checkpointer_->put_by_all(pipeline_->rows_done());
  answer_->append_pairs(*pairs, prepared_.shapes.query_rows, options_.stop);
}

// A full disk must not cost the work: what is done is put by, in the space that the unfinished answer gives back. Not
// so when a tile failed as well: what it read may be in the state.
void Run::put_by_quietly() {
  if (!writing_failed_ || pipeline_->scoring_failed()) return;
  try {
    checkpointer_->put_by_all(pipeline_->rows_done());
  } catch (const Error&) {
    // The first failure is the one to report.
  }
}

double Run::share_done(std::uint64_t rows) const {
  return plan::share_of_pairs(prepared_.shapes, prepared_.plan, prepared_.shapes.query_begin(), rows);
}

RunSeries::Sample Run::sample_of_now() const {
  return {.seconds = seconds_since(start_),
          .fraction_done = share_done(pipeline_->rows_done()),
          .rss_anon_bytes = sampler_.last().rss_anon_bytes,
          .rss_file_bytes = sampler_.last().rss_file_bytes,
          .bytes_read = prepared_.bytes_read()};
}

void Run::report_progress() {
  if (!options_.progress) return;
  const plan::Shapes& shapes = prepared_.shapes;
  const std::uint64_t row = pipeline_->rows_done();
  options_.progress({row - shapes.query_begin(), shapes.query_end() - shapes.query_begin(), seconds_since(start_),
                     share_done(row), share_done(rows_resumed_)});
}

JobReport Run::finish() {
  JobReport report;
  if (was_finished()) {
    report.shard_was_done = true;
    report.plan = prepared_.describe(options_);
    report.tiles_resumed = report.plan.tiles_total;
    report.peak_rss_bytes = read_process_memory().peak_rss_bytes;
    report.seconds = seconds_since(start_);
    report.series =
        SeriesRecorder(prepared_.shapes, prepared_.plan).finish({.seconds = report.seconds, .fraction_done = 1.0});
    return report;
  }
  prepare();
  restore();
  Clock::time_point merge_start;
  try {
    compute();
    merge_start = Clock::now();
    if (answer_) {
      writing([&] { write_pairs(); });
      writing([&] { report.output_xxh3 = answer_->finish(); });
    } else {
      writing([&] { checkpointer_->finish_shard(pipeline_->rows_done()); });
    }
  } catch (const Error&) {
    answer_.reset();
    put_by_quietly();
    throw;
  }
  if (answer_) folder_.remove();
  const PipelineStatistics statistics = pipeline_->statistics();
  report.seconds_merge = seconds_since(merge_start);
  report.plan = prepared_.describe(options_);
  if (report.plan.all_pairs) report.plan.output_bytes = answer_->entries() * (sizeof(std::uint64_t) + sizeof(float));
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
  report.rows_searched_again = statistics.rows_searched_again;
  report.discarded_other_job = folder_.found_other_job();
  report.discarded_for_budget = began_again_;
  report.tiles_resumed = report.plan.tiles_total - std::min(report.plan.tiles_total, statistics.tiles_done);
  report.bytes_read = prepared_.bytes_read() + sample_bytes_read_;
  report.input_bytes = prepared_.base->file_bytes() + (prepared_.queries ? prepared_.queries->file_bytes() : 0);
  report.stripes_while_short = statistics.stripes_while_short;
  report.bytes_from_storage = bytes_from_storage() - from_storage_before_;
  report.bytes_to_storage = bytes_to_storage() - to_storage_before_;
  if (const PairStore* pairs = state_->pair_store()) report.bytes_spilled += pairs->bytes_written();
  if (const Spill* spill = state_->spill_store()) report.bytes_spilled += spill->bytes_written();
  // Rows whose state makes room for others' go to disk whether or not there is a checkpoint.
  (state_->is_resident() ? report.bytes_checkpointed : report.bytes_spilled) += checkpointer_->bytes_of_rows();
  report.bytes_checkpointed += checkpointer_->bytes_of_candidates();
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

JobReport run_job(const JobInput& input, const std::string& output_path, const JobOptions& options) {
  join::check_output(output_path, input);
  const std::string folder = join::folder_path(options, output_path);
  join::refuse_work_file(folder, output_path);
  for (const std::string& path : join::files_read(input)) join::refuse_work_file(folder, path);
  join::PreparedJob prepared(input, options);
  try {
    return join::Run(prepared, options, output_path).finish();
  } catch (...) {
    // A shard that leaves nothing to go on from leaves no folder either, unless other shards' are in it.
    if (options.shard) os::remove_empty_directory(join::work_path(options, output_path));
    throw;
  }
}

}  // namespace simtile
