// The last step of a job that was shared out: from the shards' results to the neighbours file that one process would
// have written, byte for byte.
//
// Threads: as run_job() (job.h). Memory: within options.budget_bytes, 56 KiB of it for each shard; where there is no
// room for all, shards are merged in rounds. The smallest budget of the job itself is enough. Errors (simtile::Error):
// kIo when a shard is missing, unfinished or at work, naming them; kInvalidArgument when one is of another job (other
// inputs or options); kCorrupt, kBudgetTooSmall, kInterrupted. Then no output is written, and the shards stay as they
// are.
#pragma once

#include <cstdint>
#include <string>

#include "simtile/job.h"

namespace simtile {

struct MergeReport {
  std::uint32_t shards = 0;
  std::uint64_t query_rows = 0;
  std::uint64_t bytes_read = 0;  // of the shards' runs
  bool was_done = false;         // the output is already this job's answer; what was left of the shards is removed
  double seconds = 0.0;
  std::uint64_t peak_rss_bytes = 0;
  std::uint64_t output_xxh3 = 0;  // 0 where was_done
};

// `input`, `output_path` and `options` are those of the shards; budget, threads and instruction set may differ.
// options.shard is not looked at. Removes the shards once the output is published.
MergeReport merge_shards(const JobInput& input, const std::string& output_path, const JobOptions& options);

}  // namespace simtile
