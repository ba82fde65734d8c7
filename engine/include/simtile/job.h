// The main job: for every query row, the top K most similar base rows, exactly, within a page budget.
//
// The score of a pair is one chain of binary32 fused multiply-adds over the dimensions in ascending order, from zero:
//   ip      s = fma(a[d], b[d], s)
//   cosine  the same over the rows scaled to norm one: float(a[d] * (1 / norm)), the product in binary64
//   l2      t = a[d] - b[d]; s = fma(t, t, s)
// Several fields: s = fma(weight, the field's score, s) over the fields in their order, from zero. A row that is all
// zeros in a field lacks it, and scores 0 there; renormalised, a sum is divided by the weights, added up in order, of
// the fields that both rows have, and is 0 where there are none. A dimension that a sparse row does not hold is zero.
// Equal scores go to the smaller row. A sum beyond binary32 is an infinity and counts as one. Threads, budget,
// instruction set, interruption and resumption never change a bit of the output.
//
// Threads: independent jobs may run at once from several threads; each uses its own oneTBB arena.
// Errors (simtile::Error): kInvalidArgument, kCorrupt (damaged input), kBudgetTooSmall (with the smallest budget that
// works), kIo, kInterrupted (run the same job again to take up where it stopped).
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "simtile/run_series.h"
#include "simtile/types.h"

namespace simtile {

// One matrix of several that describe the same rows.
struct JobField {
  std::string name;          // 1 to 31 letters, digits, '_', '-' or '.'
  std::string base_path;     // a matrix file, dense or sparse
  std::string queries_path;  // as JobInput's: every field's is empty, or none's
  float weight = 1.0f;       // finite; a field of weight 0 is left out
};

struct JobInput {
  std::string base_path;     // a matrix file
  std::string queries_path;  // a matrix file with as many columns; empty: self-join (a row is not its own neighbour)
  // Instead of the two: fields with as many rows each, and the same ids where they have any. Cosine or ip.
  std::vector<JobField> fields = {};
};

// One of `count` equal shares of a job, for as many processes: each puts what it finds by in the job's work folder, at
// its own time, and merge_shards() (merge.h) makes the answer of them. Any shard may be killed and run again.
struct Shard {
  std::uint32_t number = 1;  // 1 to count
  std::uint32_t count = 1;   // at most kMostShards
};
inline constexpr std::uint32_t kMostShards = 256;

struct JobProgress {
  std::uint64_t rows_done = 0;  // query rows whose share of the work is done (a self-join's rows weigh by their pairs)
  std::uint64_t rows_total = 0;
  double seconds = 0.0;           // since this process began the job
  double fraction_done = 0.0;     // of the pairs, 0 to 1
  double fraction_resumed = 0.0;  // of the pairs, what an earlier process had done
};

struct JobOptions {
  // At least 1, or 0 with a min_score: then all pairs that are good enough. More than there
  // are rows gives fewer neighbours.
  std::uint64_t top_k = 0;
  Metric metric = Metric::kCosine;
  bool renormalize = false;        // with fields: divide by the weights that both rows have; weights above 0
  std::optional<float> min_score;  // keep pairs at least this good only (l2: at most this distance)
  std::uint64_t budget_bytes = 0;  // bounds the whole process; 0: default_budget_bytes()
  std::uint32_t threads = 0;       // 0: one for each processor this process may use
  Isa isa = Isa::kAuto;
  ScreenUse screen = ScreenUse::kAuto;
  PairScoring pairs = PairScoring::kAuto;  // of a self-join; one that is resumed goes on as it began
  // Runs and journal; empty: "<output>.work". Removed when the job is done, if nothing else is in it; refused where
  // files with the names of its own are somebody else's.
  std::string work_dir;
  bool fresh = false;               // forget what an interrupted run left
  std::optional<Shard> shard;       // do this share alone, and write no output
  double checkpoint_seconds = 1.0;  // least time between checkpoints, which fall at stripes' ends; 0: at each
  std::function<void(const JobProgress&)> progress;  // called from one thread at a time
  const std::atomic<bool>* stop = nullptr;           // set it to true to interrupt at the next tile
  // Asked when a stripe begins, by one thread at a time; null: never. While it says so, one tile is in flight and none
  // is read ahead. MemoryPressure (memory.h) asks the kernel.
  std::function<bool()> memory_is_short;
};

// What a job will do: from shapes, options and the machine's fixed costs, and where a screen may pay, from a sample of
// the base's rows.
struct JobPlan {
  std::uint64_t query_rows = 0, base_rows = 0, dims = 0;
  std::uint64_t top_k = 0;
  // All that are good enough, instead of a top K: then spills, bytes_spilled and output_bytes are not known (in a
  // JobReport, output_bytes is what was written).
  bool all_pairs = false;
  Metric metric = Metric::kCosine;
  bool self_join = false;
  bool sparse = false;
  std::vector<JobField> fields;  // those that count; empty where the job comes down to one matrix of weight 1
  bool renormalize = false;
  std::uint64_t product_dims = 0;  // dimensions of dense matrices, which go through the matrix product
  std::uint32_t threads = 0;
  Isa isa = Isa::kAuto;  // the set that will run
  std::uint64_t budget_bytes = 0;
  std::uint64_t smallest_budget_bytes = 0;
  std::uint64_t planned_peak_bytes = 0;  // what this plan will use of the budget
  std::uint64_t stripe_rows = 0;         // query rows that are resident at once
  std::uint64_t tile_columns = 0;        // base rows scored against a stripe at once
  std::uint64_t stripes_total = 0, tiles_total = 0;
  std::optional<Shard> shard;      // then tiles, pairs, flops and bytes are the shard's; pairs_total the job's
  bool spills = false;             // top-K state does not fit: candidates go to disk
  std::uint64_t pairs_total = 0;   // (query row, base row) pairs the answer is drawn from
  std::uint64_t pairs_scored = 0;  // pairs computed; half of the total in a self-join that scores them once
  double flops = 0.0;              // of the matrix product, without a screen
  std::uint64_t bytes_read = 0, bytes_spilled = 0, output_bytes = 0;  // bytes_spilled is an estimate
  std::uint64_t sample_rows = 0;  // base rows that bounds are guessed from before the first tile, or 0
  // What bounds pairs by all of their coordinates, rounded, first: "amx", "avx512_bf16", or nothing.
  std::string first_look_isa;
  bool screened = false;                                      // pairs are bounded first; then, foretold:
  std::string screen_isa;                                     // what computes the first bound: an Isa or "amx"
  std::uint64_t screen_first_dims = 0, screen_next_dims = 0;  // coordinates of the two bounds
  double screen_left_first = 1.0, screen_left_next = 1.0;     // shares of the pairs that they leave
  double screen_cost = 1.0;                                   // the job's time, as a share of that without
};

struct JobReport {
  JobPlan plan;
  double seconds = 0.0, seconds_compute = 0.0, seconds_io_wait = 0.0, seconds_merge = 0.0;
  std::uint64_t peak_rss_bytes = 0, peak_rss_anon_bytes = 0, peak_rss_file_bytes = 0;
  std::uint64_t pairs_scored = 0;  // by this process
  double flops = 0.0;              // by this process
  std::uint64_t bytes_read = 0, bytes_spilled = 0;
  std::uint64_t bytes_checkpointed = 0;                     // put by beside those, for a rerun to go on from
  std::uint64_t input_bytes = 0;                            // of the files: what reading everything once takes
  std::uint64_t bytes_from_storage = 0;                     // that disks delivered for this process; the cache the rest
  std::uint64_t bytes_to_storage = 0;                       // that this process wrote, the output included
  std::uint64_t candidates = 0;                             // scores that entered a top-K state
  bool screened = false;                                    // pairs were bounded first; then, of pairs_scored:
  std::uint64_t pairs_dropped_by_tile = 0;                  // that tiles as a whole ruled out, before the first bound
  std::uint64_t pairs_left_first = 0, pairs_left_next = 0;  // that the first and the second bound let through
  std::uint64_t pairs_by_definition = 0;  // that were scored by the definition: with a screen, or a first look
  double seconds_screen = 0.0;            // making the screen and the first bounds, before the first tile
  std::uint64_t rows_searched_again = 0;  // whose guessed bound was too tight
  std::uint64_t tiles_resumed = 0;        // tiles that an earlier process had done
  std::uint64_t stripes_while_short = 0;  // stripes that ran with one tile in flight, as memory was short
  bool discarded_other_job = false;       // the work folder held what another job had left; it was cleared
  bool discarded_for_budget = false;      // so was what an earlier run left: going on with it takes a larger budget
  bool shard_was_done = false;            // an earlier process had finished the shard; nothing was left to do
  std::uint64_t output_xxh3 = 0;          // XXH3-64 of the output file's bytes; 0 for a shard, which writes none
  RunSeries series;                       // by this process, from its first tile on
};

// Half of what this process may use: the smallest of the cgroup's limit (v1 or v2) and MemAvailable.
std::uint64_t default_budget_bytes();

// Reads the headers and plans; does no work. Throws as run_job does, kBudgetTooSmall included.
JobPlan plan_job(const JobInput& input, const JobOptions& options);

// The plan under the smallest budget when the given one is too small, for tools that want to show it.
JobPlan plan_job_at_least(const JobInput& input, JobOptions options);

// Floating-point operations a second that this machine reaches on the plan's kernel and shape, by running it for about
// `seconds` on all of the plan's threads; 0 for sparse plans, whose work depends on which columns meet, and for
// searches of few queries, which are bound by reading the base.
double calibrate_flops_per_second(const JobPlan& plan, double seconds);

// Runs or resumes the job and publishes a neighbours file at `output_path`; of a shard, puts its results by in the work
// folder, which may be that of other shards at the same time. Two processes on one shard: the second is refused.
JobReport run_job(const JobInput& input, const std::string& output_path, const JobOptions& options);

}  // namespace simtile
