// The neighbours file under construction. Query rows are appended in order as they become final, while later rows are
// still being scored: little is left to write when the last tile is done.
//
// Threads: one at a time. Errors: Error(kIo); Error(kCorrupt) for a damaged run; Error(kInterrupted).
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "engine/join/journal.h"
#include "engine/join/prepared_job.h"
#include "engine/join/topk_state.h"
#include "engine/storage/neighbours_writer.h"

namespace simtile::join {

class AnswerWriter {
 public:
  AnswerWriter(const std::string& path, PreparedJob& job, const JobOptions& options);

  // The rows that an earlier process finished, from their runs; stops when *stop is set.
  void append_finished(const WorkFolder& folder, const Checkpoint& done, const std::atomic<bool>* stop);
  // The rows from the last one appended up to `end`, which are final and held.
  void append_rows(TopKState& state, std::uint64_t end);
  // All rows, where all pairs are wanted; stops when *stop is set.
  void append_pairs(PairStore& pairs, std::uint64_t rows, const std::atomic<bool>* stop);
  // One entry of a sequence that is sorted by row and key; those beyond the K best of a row are left out.
  void append(const RunEntry& entry);
  // All entries of the rows below `end` have been appended.
  void end_rows(std::uint64_t end) {
    while (rows_ < end) end_row();
  }
  // Neighbours of all rows appended so far.
  std::uint64_t entries() const noexcept { return entries_; }
  // Publishes the file and returns the XXH3-64 of its bytes.
  std::uint64_t finish() { return writer_.finish(); }

 private:
  void take(topk::Key key) { neighbours_.push_back({topk::key_row(key), topk::key_score(larger_better_, key)}); }
  void end_row();

  bool larger_better_;
  std::size_t kept_;
  std::uint64_t rows_ = 0;  // appended so far
  std::uint64_t entries_ = 0;
  std::vector<Neighbour> neighbours_;
  storage::NeighboursWriter writer_;
};

}  // namespace simtile::join
