#include "engine/join/pipeline.h"

#include <oneapi/tbb/parallel_pipeline.h>

#include <algorithm>

#include "engine/base/arena.h"
#include "engine/base/clock.h"
#include "engine/plan/memory_model.h"

namespace simtile::join {
namespace {

// Of the budget, this share is on its way from the disk: in the page cache, not in this process.
constexpr std::uint64_t kReadAheadShare = 8;
constexpr std::uint64_t kMostReadAheadBytes = std::uint64_t{32} << 20;

}  // namespace

Pipeline::Pipeline(Job job, PageBudget& budget, TopKState& state, std::uint64_t first_query_row)
    : job_(std::move(job)),
      state_(&state),
      cursor_(job_.shapes, job_.plan, first_query_row),
      read_ahead_(*job_.base, job_.shapes, cursor_, std::min(kMostReadAheadBytes, job_.budget_bytes / kReadAheadShare)),
      stripe_in_use_(plan::stripes_in_flight(job_.plan)),
      workers_(job_.shapes.threads),
      tasks_(job_.plan.tiles_in_flight),
      rows_done_(first_query_row) {
  for (std::size_t i = 0; i < stripe_in_use_.size(); ++i)
    stripes_.push_back(
        std::make_unique<Stripe>(budget, job_.shapes, job_.plan, *job_.kernel, *job_.screen_kernel, job_.metric));
  for (Worker& worker : workers_)
    worker.scorer = std::make_unique<TileScorer>(budget, job_.shapes, job_.plan, *job_.kernel, *job_.screen_kernel,
                                                 job_.metric, *state_);
}

Pipeline::~Pipeline() = default;

void Pipeline::run_segment(const DrainWhenDue& drain_when_due) {
  segment_has_tiles_ = false;
  memory_is_short_ = memory_is_short_now();
  if (has_lost_threads()) {
    while (TileTask* task = lease_next_tile(drain_when_due)) {
      score(*task);
      retire(*task);
      sort_final_rows(*task);
      tell_of_final_rows(*task);
    }
  } else {
    run_in_arena(job_.shapes.threads, [&] { run_tiles_in_parallel(drain_when_due); });
  }
}

void Pipeline::run_tiles_in_parallel(const DrainWhenDue& drain_when_due) {
  namespace tbb = oneapi::tbb;
  tbb::parallel_pipeline(
      memory_is_short_ ? 1 : tasks_.size(),
      tbb::make_filter<void, TileTask*>(tbb::filter_mode::serial_in_order, [&](tbb::flow_control& control) {
        TileTask* task = lease_next_tile(drain_when_due);
        if (task == nullptr) control.stop();
        return task;
      }) & tbb::make_filter<TileTask*, TileTask*>(tbb::filter_mode::parallel, [&](TileTask* task) {
        score(*task);
        return task;
      }) & tbb::make_filter<TileTask*, TileTask*>(tbb::filter_mode::serial_in_order, [&](TileTask* task) {
        retire(*task);
        return task;
      }) & tbb::make_filter<TileTask*, TileTask*>(tbb::filter_mode::parallel, [&](TileTask* task) {
        sort_final_rows(*task);
        return task;
      }) & tbb::make_filter<TileTask*, void>(tbb::filter_mode::serial_in_order, [&](TileTask* task) {
        tell_of_final_rows(*task);
      }));
}

Pipeline::TileTask* Pipeline::lease_next_tile(const DrainWhenDue& drain_when_due) {
  if (cursor_.at_end()) return nullptr;
  if (stop_is_asked_for()) {
    stopped_ = true;
    return nullptr;
  }
  const auto start = Clock::now();
  const plan::Tile& tile = cursor_.tile();
  if (tile.first_of_stripe && !begin_stripe(tile, drain_when_due)) return nullptr;
  // Tasks leave in order and at most tasks_.size() are in flight, so this one is free.
  TileTask& task = tasks_[tasks_begun_++ % tasks_.size()];
  task.tile = tile;
  task.stripe = stripes_[running_stripe_].get();
  task.window = window_of(tile);
  cursor_.advance();
  read_ahead_.on_tile_leased(!memory_is_short_);
  segment_has_tiles_ = true;
  statistics_.seconds_io_wait += seconds_since(start);
  return &task;
}

SideWindow Pipeline::window_of(const plan::Tile& tile) const {
  if (!job_.shapes.by_fields()) return lease_window(*job_.base, tile.base_begin, tile.base_end - tile.base_begin);
  SideWindow window;
  window.fields = job_.base;
  return window;
}

// Packs the next stripe, or asks (by false) for the pipeline to be emptied first.
bool Pipeline::begin_stripe(const plan::Tile& tile, const DrainWhenDue& drain_when_due) {
  if (segment_has_tiles_ &&
      (!job_.plan.resident || drain_when_due(tile.query_begin) || memory_is_short_now() != memory_is_short_))
    return false;
  const auto free = std::find_if(stripe_in_use_.begin(), stripe_in_use_.end(), [](const std::atomic<bool>& in_use) {
    return !in_use.load(std::memory_order_acquire);
  });
  if (free == stripe_in_use_.end()) return false;
  free->store(true, std::memory_order_relaxed);
  running_stripe_ = static_cast<std::size_t>(free - stripe_in_use_.begin());
  stripes_[running_stripe_]->pack(*job_.queries, tile.query_begin, tile.query_end);
  state_->begin_stripe(tile.query_begin, tile.query_end);
  statistics_.stripes_while_short += memory_is_short_ ? 1 : 0;
  return true;
}

// What fails while it scores may have left what a damaged file gave in the state.
template <typename Work>
void Pipeline::scoring(Work work) {
  try {
    work();
  } catch (...) {
    scoring_failed_.store(true, std::memory_order_relaxed);
    throw;
  }
}

void Pipeline::score(TileTask& task) {
  const auto start = Clock::now();
  Worker& worker = workers_[thread_in_arena()];
  scoring([&] { worker.scorer->score(*task.stripe, task.tile, std::move(task.window)); });
  task.window = {};
  task.seconds = seconds_since(start);
  worker.seconds += task.seconds;
}

void Pipeline::sort_final_rows(const TileTask& task) {
  if (!finishes_rows(task)) return;
  for (std::uint64_t row = task.tile.query_begin; row < task.tile.query_end; ++row) state_->sorted(row);
}

void Pipeline::tell_of_final_rows(const TileTask& task) {
  if (finishes_rows(task)) job_.on_rows_final(task.tile.query_end);
}

// False when the job was stopped before they were.
bool Pipeline::complete_rows(const TileTask& task) {
  for (std::uint64_t row = task.tile.query_begin; row < task.tile.query_end; ++row) {
    if (state_->is_complete(row)) continue;
    scoring([&] { search_again(row, task); });
    if (!stopped_) continue;
    // A part of what it would find could pass for all of it. With nothing, it is found incomplete again.
    state_->begin_again(row);
    return false;
  }
  return true;
}

// No other tile needs the stripe any more, nor this thread its scorer, nor the task its window.
void Pipeline::search_again(std::uint64_t row, const TileTask& task) {
  ++statistics_.rows_searched_again;
  state_->begin_again(row);
  task.stripe->pack(*job_.queries, row, row + 1);
  TileScorer& scorer = *workers_[thread_in_arena()].scorer;
  plan::Tile tile = task.tile;
  tile.query_begin = row;
  tile.query_end = row + 1;
  tile.for_queries_alone = true;
  for (tile.base_begin = 0; tile.base_begin < job_.shapes.base_rows; tile.base_begin = tile.base_end) {
    if (stop_is_asked_for()) {
      stopped_ = true;
      return;
    }
    tile.base_end = std::min(tile.base_begin + job_.plan.tile_columns, job_.shapes.base_rows);
    scorer.score(*task.stripe, tile, window_of(tile));
  }
}

void Pipeline::retire(TileTask& task) {
  if (task.tile.last_of_stripe && job_.shapes.sample.in_use() && (rows_left_incomplete_ || !complete_rows(task))) {
    rows_left_incomplete_ = true;
    task.tile.last_of_stripe = false;  // its rows are not final
    return;
  }
  ++statistics_.tiles_done;
  if (task.tile.last_of_stripe) {
    statistics_.pairs_scored += plan::pairs_of_rows(job_.shapes, job_.plan, task.tile.query_begin, task.tile.query_end);
    rows_done_ = task.tile.query_end;
    for (std::size_t i = 0; i < stripes_.size(); ++i)
      if (stripes_[i].get() == task.stripe) stripe_in_use_[i].store(false, std::memory_order_release);
  }
  job_.on_tile(task.tile, task.seconds);
}

PipelineStatistics Pipeline::statistics() const {
  PipelineStatistics all = statistics_;
  for (const Worker& worker : workers_) {
    all.seconds_compute += worker.seconds - worker.scorer->seconds_loading();
    all.seconds_io_wait += worker.scorer->seconds_loading() / job_.shapes.threads;
    all.candidates += worker.scorer->candidates();
    all.screen += worker.scorer->screen_counts();
  }
  return all;
}

}  // namespace simtile::join
