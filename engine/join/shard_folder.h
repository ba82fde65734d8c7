// Where shards put their results: a work folder each, inside the job's.
//
//   OUT.knn.work/shard-2-of-3/   lock, journal, runs
//
// Nothing is shared but the folder around them, so shards need no word from each other. A shard that is through leaves
// its journal with rows_done at Shapes::found_end() and one chain of runs in Checkpoint::finished: all that it found,
// in row order, at most K entries a row.
#pragma once

#include <string>

#include "engine/join/journal.h"
#include "engine/plan/tile_plan.h"
#include "simtile/job.h"

namespace simtile::join {

std::string shard_path(const std::string& work_path, const Shard& shard);
// The shard that a folder in the work folder is of, if it is one's.
std::optional<Shard> shard_of_name(const std::string& name);

// Whose lock a merge holds, and where one of more shards than it can read at once puts what it has merged so far.
std::string merge_path(const std::string& work_path);

// Makes the folder around the shards, and gives the shard's.
std::string make_shard_path(const std::string& work_path, const Shard& shard);

// Of the shard's journal and runs: those of another job, or of another cut of the same job, do not match.
RunScope shard_scope(std::uint64_t job_identity, const plan::Shapes& shapes, const Shard& shard) noexcept;

inline bool is_finished(const Checkpoint& checkpoint, const plan::Shapes& shapes) noexcept {
  return checkpoint.rows_done == shapes.found_end() && checkpoint.candidates.empty();
}

}  // namespace simtile::join
