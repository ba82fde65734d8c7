// The oneTBB pipeline that works through a plan's tiles.
//
//   serial, in order       parallel                  serial, in order      parallel            serial, in order
//   lease the next tile -> load, pack, score,     -> count it; release  -> sort the rows of -> hand on the rows
//   (pack its stripe)      keep the best             stripes at an end     such a stripe       that are final
//
// The last two are for a state that is resident; otherwise the caller takes the rows between segments.
//
// A row whose guessed bound (guessed_bounds.h) let too little in is searched again when its stripe has met all base
// rows, by the thread that finds it: there is one in a million.
//
// run_segment() runs until the tiles are all done, a stop is asked for, or the pipeline has to be empty: at a stripe's
// end when its rows must be written out (state not resident), a checkpoint is due, or memory has become short or is no
// longer. When it returns, no tile is in flight: the state of every query row below rows_done() is final and nothing
// beyond has been begun, unless the job was stopped in the middle of a stripe. Where it was stopped while a row was
// searched again, stripes behind that one do not count as done, though their tiles may be.
//
// Threads: run_segment() from one thread; it brings its own arena.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "engine/join/read_ahead.h"
#include "engine/join/side.h"
#include "engine/join/stripe.h"
#include "engine/join/tile_scorer.h"
#include "engine/join/topk_state.h"
#include "engine/plan/tile_plan.h"

namespace simtile::join {

struct PipelineStatistics {
  double seconds_compute = 0.0;  // summed over the workers
  double seconds_io_wait = 0.0;  // mapping, reading and first checks: the workers' on average, and the first stage's
  std::uint64_t tiles_done = 0;
  std::uint64_t pairs_scored = 0;
  std::uint64_t candidates = 0;
  std::uint64_t stripes_while_short = 0;
  std::uint64_t rows_searched_again = 0;
  ScreenCounts screen;
};

class Pipeline {
 public:
  struct Job {
    Side* queries;  // in a self-join the same as base
    Side* base;
    plan::Shapes shapes;
    plan::TilePlan plan;
    std::uint64_t budget_bytes;
    const kernels::TileKernel* kernel;
    const kernels::ScreenKernel* screen_kernel;
    Metric metric;
    const std::atomic<bool>* stop;          // may be null
    std::function<bool()> memory_is_short;  // may be null; JobOptions::memory_is_short
    // After each tile, with the seconds it took its worker; in order, from one thread at a time.
    std::function<void(const plan::Tile& tile, double seconds)> on_tile;
    // Resident: the rows below `end` are final and sorted; in order, from one thread at a time.
    std::function<void(std::uint64_t end)> on_rows_final;
  };
  // Whether the pipeline should be emptied when the rows below `rows_done` are about to be final.
  using DrainWhenDue = std::function<bool(std::uint64_t rows_done)>;

  Pipeline(Job job, PageBudget& budget, TopKState& state, std::uint64_t first_query_row);
  ~Pipeline();

  // `drain_when_due`: asked at each stripe's start.
  void run_segment(const DrainWhenDue& drain_when_due);

  bool at_end() const noexcept { return cursor_.at_end(); }
  bool stopped() const noexcept { return stopped_; }
  // Whether a tile could not be scored: then the state may hold what a damaged file gave.
  bool scoring_failed() const noexcept { return scoring_failed_.load(std::memory_order_relaxed); }
  std::uint64_t rows_done() const noexcept { return rows_done_; }
  PipelineStatistics statistics() const;

 private:
  struct TileTask {
    plan::Tile tile;
    Stripe* stripe = nullptr;
    SideWindow window;
    double seconds = 0.0;
  };
  struct alignas(64) Worker {
    std::unique_ptr<TileScorer> scorer;
    double seconds = 0.0;
  };

  void run_tiles_in_parallel(const DrainWhenDue& drain_when_due);
  TileTask* lease_next_tile(const DrainWhenDue& drain_when_due);
  bool begin_stripe(const plan::Tile& tile, const DrainWhenDue& drain_when_due);
  SideWindow window_of(const plan::Tile& tile) const;
  template <typename Work>
  void scoring(Work work);
  void score(TileTask& task);
  void retire(TileTask& task);
  bool complete_rows(const TileTask& task);
  void search_again(std::uint64_t row, const TileTask& task);
  void sort_final_rows(const TileTask& task);
  void tell_of_final_rows(const TileTask& task);
  bool stop_is_asked_for() const noexcept { return job_.stop != nullptr && job_.stop->load(std::memory_order_relaxed); }
  bool memory_is_short_now() const { return job_.memory_is_short && job_.memory_is_short(); }
  bool finishes_rows(const TileTask& task) const noexcept {
    return job_.plan.resident && !job_.shapes.all_pairs && task.tile.last_of_stripe;
  }

  Job job_;
  TopKState* state_;
  plan::TileCursor cursor_;
  ReadAhead read_ahead_;
  std::vector<std::unique_ptr<Stripe>> stripes_;
  // Taken by the first stage, given back by the third, which may run at the same time.
  std::vector<std::atomic<bool>> stripe_in_use_;
  std::vector<Worker> workers_;
  std::vector<TileTask> tasks_;
  std::uint64_t tasks_begun_ = 0;
  std::size_t running_stripe_ = 0;
  bool segment_has_tiles_ = false;
  std::atomic<bool> stopped_{false};
  bool rows_left_incomplete_ = false;  // of a stripe whose tiles are done
  bool memory_is_short_ = false;       // as this segment runs
  std::atomic<bool> scoring_failed_{false};
  std::uint64_t rows_done_ = 0;
  PipelineStatistics statistics_;
};

}  // namespace simtile::join
