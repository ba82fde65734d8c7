// From the shards' results to the neighbours file: simtile/merge.h. Every shard left one chain of runs in row order
// (shard_folder.h), so one pass over all chains at once gives each row's candidates, best first. Where the budget has
// no room for a reader of each, some of them are merged to one chain first, until the rest can be read at once.
#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "engine/join/answer_writer.h"
#include "engine/join/job_fields.h"
#include "engine/join/prepared_job.h"
#include "engine/join/run_merge.h"
#include "engine/join/shard_folder.h"
#include "engine/memory/process_memory.h"
#include "engine/plan/shard.h"
#include "simtile/byte_size.h"
#include "simtile/error.h"
#include "simtile/merge.h"

namespace simtile {
namespace join {
namespace {

constexpr std::uint64_t kReaderBytes = kEntriesPerBlock * sizeof(RunEntry) + (8 << 10);
// A writer holds a block, and the same encoded.
constexpr std::uint64_t kReadersOfAWriter = 2;
constexpr std::uint64_t kFewestReaders = 2 + kReadersOfAWriter;

// A shard that is through, and its folder, locked.
struct FinishedShard {
  std::unique_ptr<WorkFolder> folder;
  Checkpoint results;
};

// Runs that are in row order one after the other.
struct Chain {
  std::string folder;
  std::vector<RunInfo> runs;
  RunScope scope;
};

// Reads a chain of runs as one.
class ChainReader {
 public:
  explicit ChainReader(const Chain& chain) : chain_(&chain) { open_next(); }
  const RunEntry& entry() const noexcept { return run_->entry(); }
  bool at_end() const noexcept { return !run_ || run_->at_end(); }
  void advance() {
    const RunEntry last = run_->entry();
    run_->advance();
    if (!run_->at_end()) return;
    open_next();
    if (!at_end() && entry() < last)
      throw Error(ErrorCode::kCorrupt,
                  "the runs of '" + chain_->folder + "' are not in row order; run this shard again with --fresh");
  }

 private:
  void open_next() {
    while (at_end() && next_ < chain_->runs.size()) run_.emplace(chain_->folder, chain_->runs[next_++], chain_->scope);
  }

  const Chain* chain_;
  std::size_t next_ = 0;
  std::optional<RunReader> run_;
};

// "2, 5" of 2 and 5; long lists are cut.
std::string list_of(const std::vector<std::uint32_t>& numbers) {
  constexpr std::size_t kMostNamed = 16;
  std::string list;
  for (std::size_t i = 0; i < std::min(numbers.size(), kMostNamed); ++i)
    list += (i == 0 ? "" : ", ") + std::to_string(numbers[i]);
  if (numbers.size() > kMostNamed) list += " and " + std::to_string(numbers.size() - kMostNamed) + " more";
  return list;
}

// What there is of the shards of one number, which together are the whole job.
struct ShardSet {
  std::vector<FinishedShard> finished;
  std::vector<std::uint32_t> missing, unfinished, at_work, of_another_job;
  bool is_whole() const noexcept {
    return missing.empty() && unfinished.empty() && at_work.empty() && of_another_job.empty();
  }
};

// Counts of shards, for each of which there is a folder in the work folder at least.
std::set<std::uint32_t> shard_counts(const std::string& work_path) {
  std::set<std::uint32_t> counts;
  if (!os::is_directory(work_path)) return counts;
  for (const std::string& name : os::list_folder(work_path))
    if (const std::optional<Shard> shard = shard_of_name(name)) counts.insert(shard->count);
  return counts;
}

// Those in which a merge removes what it knows by its name.
std::vector<std::string> folders_of_work(const std::string& work_path) {
  std::vector<std::string> folders{work_path, merge_path(work_path)};
  for (const std::uint32_t count : shard_counts(work_path))
    for (std::uint32_t number = 1; number <= count; ++number) folders.push_back(shard_path(work_path, {number, count}));
  return folders;
}

[[noreturn]] void refuse(const ShardSet& set, std::uint32_t count, const std::string& work_path) {
  const std::string of_count = " of " + std::to_string(count);
  if (!set.of_another_job.empty())
    throw Error(
        ErrorCode::kInvalidArgument,
        "in '" + work_path + "', of shards " + list_of(set.of_another_job) + of_count +
            " there is another job's (other inputs or options); merge with what they were run with, or run them "
            "again");
  std::string what;
  for (const auto& [numbers, state] :
       {std::pair{&set.missing, " missing"}, {&set.unfinished, " not finished"}, {&set.at_work, " still at work"}})
    if (!numbers->empty()) what += (what.empty() ? "" : "; ") + list_of(*numbers) + of_count + state;
  throw Error(ErrorCode::kIo, "shards are not all done in '" + work_path + "': " + what + "; run them (--shard I/" +
                                  std::to_string(count) + "), then merge again");
}

class Merge {
 public:
  Merge(const JobInput& input, const std::string& output_path, JobOptions options)
      : options_(std::move(options)),
        output_path_(output_path),
        work_path_(work_path(options_, output_path)),
        prepared_(input, options_) {
    check_budget();
  }
  MergeReport finish();

 private:
  ShardSet open_set(std::uint32_t count) const;
  bool find_shards();
  bool output_is_the_answer() const;
  void take_turn();
  void remove_left_overs() const;
  void check_budget() const;
  std::uint64_t readers_at_once() const;
  std::vector<Chain> chains() const;
  void merge_some(std::vector<Chain>& chains, std::size_t count);
  void write_answer();
  void throw_if_stopped() const;
  void begin_row(std::uint64_t row) const;

  const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  const JobOptions options_;
  const std::string& output_path_;
  const std::string work_path_;
  PreparedJob prepared_;
  // Locked, so that two merges never meet, and for what is merged in rounds. It goes with all that is in it.
  std::optional<WorkFolder> rounds_;
  std::vector<FinishedShard> shards_;
  MergeReport report_;
};

ShardSet Merge::open_set(std::uint32_t count) const {
  ShardSet set;
  for (std::uint32_t number = 1; number <= count; ++number) {
    const Shard shard{number, count};
    const std::string path = shard_path(work_path_, shard);
    if (!os::is_directory(path)) {
      set.missing.push_back(number);
      continue;
    }
    plan::Shapes shapes = prepared_.shapes;
    shapes.part = plan::part_of(shapes, shard);
    FinishedShard found;
    try {
      found.folder = std::make_unique<WorkFolder>(path, shard_scope(prepared_.identity(), shapes, shard));
    } catch (const Error& error) {
      if (error.code() != ErrorCode::kInvalidArgument) throw;
      set.at_work.push_back(number);
      continue;
    }
    std::optional<Checkpoint> results = found.folder->load();
    if (found.folder->found_other_job()) {
      set.of_another_job.push_back(number);
    } else if (!results || !is_finished(*results, shapes)) {
      set.unfinished.push_back(number);
    } else {
      found.results = std::move(*results);
      set.finished.push_back(std::move(found));
    }
  }
  return set;
}

// Takes the first set that is whole; false when the output makes that unnecessary.
bool Merge::find_shards() {
  const std::set<std::uint32_t> counts = rounds_ ? shard_counts(work_path_) : std::set<std::uint32_t>();
  std::optional<std::pair<ShardSet, std::uint32_t>> nearest;
  for (const std::uint32_t count : counts) {
    ShardSet set = open_set(count);
    if (set.is_whole()) {
      shards_ = std::move(set.finished);
      return true;
    }
    if (!nearest || set.finished.size() > nearest->first.finished.size()) nearest.emplace(std::move(set), count);
  }
  if (output_is_the_answer()) return false;
  if (nearest) refuse(nearest->first, nearest->second, work_path_);
  throw Error(ErrorCode::kIo, "there are no shards in '" + work_path_ +
                                  "'; run the job with --shard 1/N to --shard N/N first, or name its --work-dir");
}

// As a merge that was killed while it removed the shards leaves it.
bool Merge::output_is_the_answer() const {
  if (!os::exists(output_path_)) return false;
  try {
    return prepared_.is_answered_by(storage::NeighboursFile::open(output_path_), options_);
  } catch (const Error&) {
    return false;  // something else, which the answer is to replace
  }
}

// Throws where another merge is at work.
void Merge::take_turn() {
  if (!os::is_directory(work_path_)) return;
  rounds_.emplace(merge_path(work_path_),
                  RunScope{prepared_.identity(), prepared_.shapes.query_rows, prepared_.shapes.base_rows});
  rounds_->clear();  // of what a merge that was killed left, whose room the answer may need
}

void Merge::remove_left_overs() const {
  for (const std::uint32_t count : shard_counts(work_path_)) {
    const ShardSet set = open_set(count);  // opening removes folders that have no journal
    for (const FinishedShard& shard : set.finished) shard.folder->remove();
  }
}

// Said before shards are looked for, in the words of other jobs. The smallest plan of the job nearly always needs more.
void Merge::check_budget() const {
  const std::uint64_t least = prepared_.shapes.fixed_bytes + kFewestReaders * kReaderBytes;
  if (prepared_.budget_bytes >= least) return;
  const std::string works = std::to_string(plan::announced_budget(least) >> 20) + "MiB";
  throw Error(ErrorCode::kBudgetTooSmall, "a budget of " + format_byte_size(prepared_.budget_bytes) +
                                              " is too small for this merge; the smallest that works is " + works +
                                              " (--budget " + works + ")");
}

std::uint64_t Merge::readers_at_once() const {
  return (prepared_.budget_bytes - prepared_.shapes.fixed_bytes) / kReaderBytes;
}

std::vector<Chain> Merge::chains() const {
  std::vector<Chain> chains;
  for (const FinishedShard& shard : shards_)
    chains.push_back({shard.folder->path(), shard.results.finished, shard.folder->scope()});
  return chains;
}

// Puts one chain at the end in place of the first `count`: of each row, as many as the answer can take.
void Merge::merge_some(std::vector<Chain>& chains, std::size_t count) {
  const auto end = chains.begin() + static_cast<std::ptrdiff_t>(count);
  const std::vector<Chain> merged(chains.begin(), end);
  std::vector<ChainReader> readers(merged.begin(), merged.end());
  RunWriter writer = rounds_->begin_run();
  std::uint64_t row = UINT64_MAX, in_row = 0;
  merge_sorted(readers, [&](const RunEntry& entry) {
    if (entry.row != row) {
      throw_if_stopped();
      row = entry.row;
      in_row = 0;
    }
    if (in_row++ < prepared_.plan.kept) writer.append(entry);
  });
  chains.erase(chains.begin(), end);
  chains.push_back({rounds_->path(), {writer.finish()}, rounds_->scope()});
  for (const Chain& chain : merged)
    if (chain.folder == rounds_->path()) os::remove_file(run_path(chain.folder, chain.runs.front().serial));
}

void Merge::throw_if_stopped() const {
  if (options_.stop != nullptr && options_.stop->load(std::memory_order_relaxed))
    throw Error(ErrorCode::kInterrupted, "interrupted; the shards are as they were: run merge again");
}

void Merge::begin_row(std::uint64_t row) const {
  throw_if_stopped();
  if (!options_.progress || row % 256 != 0) return;
  const double share = static_cast<double>(row) / static_cast<double>(prepared_.shapes.query_rows);
  options_.progress({row, prepared_.shapes.query_rows,
                     std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count(), share, 0.0});
}

void Merge::write_answer() {
  PageBudget budget(prepared_.budget_bytes);
  budget.charge(prepared_.shapes.fixed_bytes);
  const std::uint64_t most = readers_at_once();
  budget.charge(std::min<std::uint64_t>(most, std::max(shards_.size(), kFewestReaders)) * kReaderBytes);
  std::vector<Chain> all = chains();
  for (const Chain& chain : all)
    for (const RunInfo& run : chain.runs) report_.bytes_read += run.entries * sizeof(RunEntry);
  while (all.size() > most) merge_some(all, std::min(most - kReadersOfAWriter, all.size() - most + 1));
  AnswerWriter answer(output_path_, prepared_, options_);
  std::vector<ChainReader> readers(all.begin(), all.end());
  std::uint64_t row = 0;
  merge_sorted(readers, [&](const RunEntry& entry) {
    if (entry.row != row) begin_row(row = entry.row);
    answer.append(entry);
  });
  answer.end_rows(prepared_.shapes.query_rows);
  report_.output_xxh3 = answer.finish();
}

MergeReport Merge::finish() {
  report_.query_rows = prepared_.shapes.query_rows;
  take_turn();
  if (find_shards()) {
    report_.shards = static_cast<std::uint32_t>(shards_.size());
    write_answer();
    for (const FinishedShard& shard : shards_) shard.folder->remove();
  } else {
    report_.was_done = true;
    remove_left_overs();
  }
  if (rounds_) rounds_->remove();
  report_.peak_rss_bytes = read_process_memory().peak_rss_bytes;
  report_.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  return report_;
}

}  // namespace
}  // namespace join

MergeReport merge_shards(const JobInput& input, const std::string& output_path, const JobOptions& options) {
  join::check_output(output_path, input);
  const std::string work_path = join::work_path(options, output_path);
  for (const std::string& folder : join::folders_of_work(work_path)) {
    join::refuse_work_file(folder, output_path);
    for (const std::string& path : join::files_read(input)) join::refuse_work_file(folder, path);
  }
  if (join::wants_all_pairs(options))
    throw Error(ErrorCode::kInvalidArgument,
                "there are no shards of a job without --top-k; give it as the shards were given it");
  JobOptions whole = options;
  whole.shard.reset();
  try {
    const MergeReport report = join::Merge(input, output_path, std::move(whole)).finish();
    os::remove_empty_directory(work_path);
    return report;
  } catch (...) {
    os::remove_empty_directory(work_path);
    throw;
  }
}

}  // namespace simtile
