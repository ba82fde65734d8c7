// The journal says how far a job has come: which query rows are final, and in which runs they and the candidates of
// later rows lie. It is one small file, replaced atomically at each checkpoint, so a kill at any moment leaves the
// state before the checkpoint or after it. Runs that it does not name are left-overs and are removed.
//
// A checkpoint names rows, not tiles: a rerun may cut the rest of the work differently (another budget, other threads,
// other kernels) and still takes up where the job stopped.
//
// Threads: one at a time. Errors: Error(kIo); Error(kCorrupt) for a journal that is damaged.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "engine/base/os.h"
#include "engine/join/run_file.h"
#include "engine/plan/tile_plan.h"

namespace simtile::join {

struct Checkpoint {
  std::uint64_t rows_done = 0;      // query rows [0, rows_done) are final
  std::vector<RunInfo> finished;    // their top K, in row order
  std::vector<RunInfo> candidates;  // of later rows, from pairs with rows that are done or of the stripe under way
  plan::Sample sample;              // that bounds were guessed from: others would have let other candidates in
  bool scores_twice = false;        // plan::TilePlan::scores_twice; then there are no candidates
};

// Throws Error(kInvalidArgument) when the file at `path` lies in the work folder `folder` under a name of the folder's
// own: jobs remove such files. The folder need not be there.
void refuse_work_file(const std::string& folder, const std::string& path);

// The folder of a job in progress: lock, journal, runs. Held by one process at a time.
class WorkFolder {
 public:
  // Makes the folder if it is missing and locks it. Throws Error(kInvalidArgument) with the other process's id when it
  // is locked already, and for a folder with files that have the names of its own and are not simtile's.
  WorkFolder(const std::string& path, const RunScope& scope);
  WorkFolder(const WorkFolder&) = delete;
  WorkFolder& operator=(const WorkFolder&) = delete;
  // A folder without a journal has nothing to resume: it is removed with what is simtile's in it.
  ~WorkFolder();

  const std::string& path() const noexcept { return path_; }
  const RunScope& scope() const noexcept { return scope_; }
  // A new run, which stays once a checkpoint names it.
  RunWriter begin_run() { return {path_, ++last_serial_, scope_.job_identity}; }

  // The last checkpoint of this very job, if there is one.
  std::optional<Checkpoint> load();
  // Whether load() found another job's journal instead.
  bool found_other_job() const noexcept { return found_other_job_; }
  // Syncs the runs that the checkpoint names and makes it the last one, then removes all other runs. Where a sync
  // fails, the one before stays the last for good: the kernel tells of what it could not write once, and a second sync
  // that succeeds would say nothing.
  void publish(const Checkpoint& checkpoint);
  // Removes the runs that the last checkpoint does not name, and that nobody reads any more; no others where there was
  // none to ask.
  void remove_unnamed(const std::vector<RunInfo>& runs);
  void remove_all_unnamed();
  // Removes every run and the journal.
  void clear();
  // Removes all that is simtile's, and the folder when nothing else is in it.
  void remove();

 private:
  void take_lock();
  void remove_partials();
  // Removes what this process holds of the folder unless there is something to resume in it.
  void leave() noexcept;
  void sync_runs(const std::set<std::uint64_t>& serials);
  void put_in_place(std::span<const std::byte> journal, const std::set<std::uint64_t>& named);
  void remove_runs_except(const std::set<std::uint64_t>& kept);

  std::string path_;
  RunScope scope_;
  std::uint64_t last_serial_ = 0;
  std::optional<std::set<std::uint64_t>> named_;  // the runs that the last checkpoint names, once it was read or made
  bool sync_failed_ = false;
  bool found_other_job_ = false;
  os::File lock_;
};

}  // namespace simtile::join
