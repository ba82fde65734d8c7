// Good bounds before the first tile, guessed from a sample.
//
// Each query row is searched for in a random sample of the base rows (plan/sample.h), and its r-th best there taken for
// its bound. Unlike a bound that K real pairs prove, a guess can be too tight. A row for which it was ends with fewer
// than K neighbours, which tells: it is searched again, alone and without it (Pipeline).
//
// A job that goes on from a checkpoint guesses as the process before it did: candidates that its bounds rejected are
// not found again. The journal names the sample, and the same one always has the same rows.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/join/journal.h"
#include "engine/join/prepared_job.h"
#include "engine/join/topk_state.h"
#include "engine/memory/lease.h"

namespace simtile::join {

// `sampled` of the numbers below `rows`, ascending: each set of them is as likely, and the same numbers give the same.
std::vector<std::uint64_t> sampled_rows(std::uint64_t rows, std::uint64_t sampled);

// Puts the sample of each field into a file of that folder, without a name. The job has a sample, and its rows are
// open. Errors: Error(kIo) when it cannot be written.
std::unique_ptr<Side> write_sample(PreparedJob& job, Metric metric, const std::string& folder, PageBudget& budget);

// Tightens the bounds of the query rows from rows_done on. The budget has room for PreparedJob::sample_plan(). on_tile
// is called from one thread at a time. Errors: as tiles; Error(kInterrupted) when *options.stop is set.
void guess_bounds(PreparedJob& job, Side& sample, const JobOptions& options, PageBudget& budget, WorkFolder& folder,
                  TopKState& state, std::uint64_t rows_done, const std::function<void()>& on_tile);

}  // namespace simtile::join
