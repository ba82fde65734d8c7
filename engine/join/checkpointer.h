// What a running job puts by in its work folder, so that one that is killed goes on from there: rows that are final,
// and the candidates of later rows, in runs that the journal names.
//
// Threads: one at a time, while no tile is in flight. Errors: Error(kIo).
#pragma once

#include <cstdint>
#include <utility>

#include "engine/base/clock.h"
#include "engine/join/journal.h"
#include "engine/join/topk_state.h"
#include "engine/plan/tile_plan.h"

namespace simtile::join {

// How many checkpoints of `cost_seconds` each to spread evenly over a job of `total_seconds`: a few may take a tenth of
// its time, more a 25th.
double worthwhile_checkpoints(double total_seconds, double cost_seconds) noexcept;

class Checkpointer {
 public:
  // `least_seconds`: JobOptions::checkpoint_seconds. The references must outlive it.
  Checkpointer(WorkFolder& folder, const plan::Shapes& shapes, const plan::TilePlan& plan, TopKState& state,
               double least_seconds);

  // Goes on from what an earlier process put by.
  void take_up(Checkpoint earlier) {
    done_ = std::move(earlier);
    partners_put_by_ = first_row_ = done_.rows_done;
  }
  // From now on time is the pipeline's: what came before is not done again and again.
  void start_clock() noexcept { start_ = last_ = Clock::now(); }
  // What is on disk; rows_done of it are final.
  const Checkpoint& done() const noexcept { return done_; }

  // Whether it is time for another when the rows below rows_done are final: by the clock, by the share of the pairs
  // that has been scored since the last, and by what they cost.
  bool is_due(std::uint64_t rows_done) const noexcept;
  // Puts the rows that became final since the last call into a finished run.
  void put_by_final_rows(std::uint64_t rows_done);
  // And what is known of later rows from pairs with those, and publishes it. When a job that spills is stopped in the
  // middle of a stripe, that includes pairs of the stripe under way; they are told by their partner, which is not done,
  // and dropped when the job goes on.
  void put_by_all(std::uint64_t rows_done);
  // Behind the rows that are final, as far as this shard goes, come the rows that only other shards go on with.
  void finish_shard(std::uint64_t rows_done);

  // Rows that are final, and what was known of others.
  std::uint64_t bytes_of_rows() const noexcept { return bytes_of_rows_; }
  std::uint64_t bytes_of_candidates() const noexcept { return bytes_of_candidates_; }

 private:
  RunInfo write_rows(std::uint64_t begin, std::uint64_t end);
  RunInfo write_candidates(std::uint64_t partners_begin, std::uint64_t rows_done);
  void put_by_new_candidates(std::uint64_t rows_done);

  WorkFolder& folder_;
  const plan::Shapes& shapes_;
  const plan::TilePlan& plan_;
  TopKState& state_;
  double least_seconds_;
  Checkpoint done_;
  std::uint64_t partners_put_by_ = 0;       // resident: done_.candidates are of pairs with the rows below
  Clock::time_point start_ = Clock::now();  // of the tiles
  Clock::time_point last_ = start_;
  std::uint64_t first_row_ = 0;      // this process's
  double share_at_last_ = 0.0;       // of what this process has to score
  double first_cost_seconds_ = 0.0;  // as expected
  double seconds_spent_ = 0.0;
  double made_ = 0.0;  // checkpoints
  std::uint64_t bytes_of_rows_ = 0;
  std::uint64_t bytes_of_candidates_ = 0;
};

}  // namespace simtile::join
