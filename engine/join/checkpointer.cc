#include "engine/join/checkpointer.h"

#include <algorithm>

#include "engine/base/arena.h"

namespace simtile::join {
namespace {

// A checkpoint may take this share of the time between two of them.
constexpr double kShareOfTime = 0.04;

constexpr std::uint64_t kRowsSortedByOneTask = 256;

}  // namespace

Checkpointer::Checkpointer(WorkFolder& folder, const plan::Shapes& shapes, TopKState& state, double least_seconds)
    : folder_(folder), shapes_(shapes), state_(state), least_seconds_(least_seconds) {
  done_.rows_done = shapes.query_begin();
}

bool Checkpointer::is_due() const noexcept {
  return least_seconds_ <= 0.0 || seconds_since(last_) >= std::max(least_seconds_, last_cost_seconds_ / kShareOfTime);
}

void Checkpointer::sort_held_rows() {
  const std::uint64_t begin = std::max(done_.rows_done, state_.held_begin());
  if (begin >= state_.held_end()) return;
  parallel_for_each(shapes_.threads, begin, state_.held_end(), kRowsSortedByOneTask,
                    [&](std::uint64_t row) { state_.sorted(row); });
}

RunInfo Checkpointer::write_rows(std::uint64_t begin, std::uint64_t end, bool durable) {
  RunWriter writer = folder_.begin_run();
  for (std::uint64_t row = begin; row < end; ++row)
    for (const topk::Key key : state_.sorted(row)) writer.append(RunEntry::of(row, key));
  const RunInfo run = writer.finish(durable);
  bytes_written_ += writer.bytes();
  return run;
}

void Checkpointer::put_by_final_rows(std::uint64_t rows_done) {
  sort_held_rows();
  if (rows_done == done_.rows_done) return;
  done_.finished.push_back(write_rows(done_.rows_done, rows_done, false));
  done_.rows_done = rows_done;
}

void Checkpointer::put_by_all(std::uint64_t rows_done) {
  const auto start = Clock::now();
  if (PairStore* pairs = state_.pair_store()) {
    done_.rows_done = rows_done;
    done_.candidates = pairs->flush_durably();
  } else {
    put_by_final_rows(rows_done);
    if (shapes_.self_join)
      done_.candidates = {write_rows(std::max(done_.rows_done, state_.held_begin()), state_.held_end(), true)};
  }
  if (Spill* spill = state_.spill_store()) {
    spill->flush_durably();
    done_.candidates.insert(done_.candidates.end(), spill->runs().begin(), spill->runs().end());
  }
  done_.sample = shapes_.sample;
  publish(done_);
  last_ = Clock::now();
  last_cost_seconds_ = seconds_since(start);
}

void Checkpointer::finish_shard(std::uint64_t rows_done) {
  put_by_final_rows(rows_done);
  Checkpoint all = done_;
  all.candidates.clear();
  if (Spill* spill = state_.spill_store())
    all.finished.push_back(spill->finish());
  else if (shapes_.self_join)
    all.finished.push_back(write_rows(done_.rows_done, state_.held_end(), true));
  all.rows_done = shapes_.found_end();
  publish(all);
}

// Finished runs are written without waiting for the disk; they are there before the journal names them.
void Checkpointer::publish(const Checkpoint& checkpoint) {
  for (; finished_synced_ < checkpoint.finished.size(); ++finished_synced_)
    os::File::open_for_reading(run_path(folder_.path(), checkpoint.finished[finished_synced_].serial)).sync();
  folder_.publish(checkpoint);
}

}  // namespace simtile::join
