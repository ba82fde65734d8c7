#include "engine/join/checkpointer.h"

#include <algorithm>

#include "engine/base/arena.h"
#include "engine/plan/memory_model.h"

namespace simtile::join {
namespace {

constexpr double kShareForAFew = 0.1;
constexpr double kShareForMore = 0.04;
constexpr double kFew = 4.0;
constexpr double kBytesPerSecond = 300e6;  // chosen, written and synced

constexpr std::uint64_t kRowsSortedByOneTask = 256;
constexpr std::uint64_t kKeysOfABatch = 16 << 10;
constexpr std::uint64_t kKeysBesideKept = 16;  // about what a row's list takes beyond its best keys
constexpr std::uint64_t kTasksForEachThread = 4;

}  // namespace

double worthwhile_checkpoints(double total_seconds, double cost_seconds) noexcept {
  constexpr double kLeastCostSeconds = 1e-3;
  const double affordable = total_seconds / std::max(cost_seconds, kLeastCostSeconds);
  return std::max(std::min(kFew, kShareForAFew * affordable), kShareForMore * affordable);
}

Checkpointer::Checkpointer(WorkFolder& folder, const plan::Shapes& shapes, const plan::TilePlan& plan, TopKState& state,
                           double least_seconds)
    : folder_(folder), shapes_(shapes), plan_(plan), state_(state), least_seconds_(least_seconds) {
  done_.rows_done = first_row_ = shapes.query_begin();
  if (shapes.self_join && state.is_resident())
    first_cost_seconds_ =
        static_cast<double>((state.held_end() - state.held_begin()) * state.kept() * sizeof(RunEntry)) /
        kBytesPerSecond;
}

bool Checkpointer::is_due(std::uint64_t rows_done) const noexcept {
  if (least_seconds_ <= 0.0) return true;
  const double share = plan::share_of_pairs(shapes_, plan_, first_row_, rows_done);
  if (share <= 0.0 || seconds_since(last_) < least_seconds_) return false;
  const double cost = made_ == 0.0 ? first_cost_seconds_ : seconds_spent_ / made_;
  const double worthwhile = worthwhile_checkpoints(seconds_since(start_) / share, cost);
  return worthwhile >= 1.0 && share - share_at_last_ >= 1.0 / (worthwhile + 1.0);
}

RunInfo Checkpointer::write_rows(std::uint64_t begin, std::uint64_t end) {
  parallel_for_each(shapes_.threads, begin, end, kRowsSortedByOneTask, [&](std::uint64_t row) { state_.sorted(row); });
  RunWriter writer = folder_.begin_run();
  writer.write_back_early();
  for (std::uint64_t row = begin; row < end; ++row)
    for (const topk::Key key : state_.sorted(row)) writer.append(RunEntry::of(row, key));
  const RunInfo run = writer.finish();
  bytes_of_rows_ += writer.bytes();
  return run;
}

// Of held rows that are not final, from pairs with rows that are. All threads choose, in batches, and one writes.
RunInfo Checkpointer::write_candidates(std::uint64_t partners_begin, std::uint64_t rows_done) {
  const std::uint64_t batch = std::max<std::uint64_t>(1, kKeysOfABatch / (state_.kept() + kKeysBesideKept));
  const std::uint64_t rows_of_a_task = std::max<std::uint64_t>(1, batch / (kTasksForEachThread * shapes_.threads));
  RunWriter writer = folder_.begin_run();
  writer.write_back_early();
  std::vector<std::vector<topk::Key>> best(static_cast<std::size_t>(batch));
  run_in_arena(shapes_.threads, [&] {
    for (std::uint64_t begin = std::max(rows_done, state_.held_begin()), end; begin < state_.held_end(); begin = end) {
      end = std::min(begin + batch, state_.held_end());
      parallel_pieces(begin, end, rows_of_a_task, [&](std::uint64_t first, std::uint64_t last) {
        for (std::uint64_t row = first; row < last; ++row)
          state_.copy_best(row, partners_begin, rows_done, best[row - begin]);
      });
      for (std::uint64_t row = begin; row < end; ++row)
        for (const topk::Key key : best[row - begin]) writer.append(RunEntry::of(row, key));
    }
  });
  const RunInfo run = writer.finish();
  bytes_of_candidates_ += writer.bytes();
  return run;
}

void Checkpointer::put_by_final_rows(std::uint64_t rows_done) {
  if (rows_done == done_.rows_done) return;
  done_.finished.push_back(write_rows(done_.rows_done, rows_done));
  done_.rows_done = rows_done;
}

// What is on disk already is told by its partners. When there are as many runs as are merged at once, all that is held
// takes their place.
void Checkpointer::put_by_new_candidates(std::uint64_t rows_done) {
  if (partners_put_by_ == rows_done) return;
  if (done_.candidates.size() >= plan::kSpillFanIn) {
    done_.candidates.clear();
    partners_put_by_ = 0;
  }
  done_.candidates.push_back(write_candidates(partners_put_by_, rows_done));
  partners_put_by_ = rows_done;
}

void Checkpointer::put_by_all(std::uint64_t rows_done) {
  const auto start = Clock::now();
  if (PairStore* pairs = state_.pair_store()) {
    done_.rows_done = rows_done;
    done_.candidates = pairs->flush();
  } else {
    put_by_final_rows(rows_done);
    if (Spill* spill = state_.spill_store()) {
      done_.candidates = spill->flush();
      if (rows_done < state_.held_end()) done_.candidates.push_back(write_candidates(0, rows_done));
    } else if (shapes_.self_join && state_.is_resident()) {
      put_by_new_candidates(rows_done);
    }
  }
  done_.sample = shapes_.sample;
  done_.scores_twice = plan_.scores_twice;
  folder_.publish(done_);
  last_ = Clock::now();
  share_at_last_ = plan::share_of_pairs(shapes_, plan_, first_row_, rows_done);
  seconds_spent_ += seconds_since(start);
  made_ += 1.0;
}

void Checkpointer::finish_shard(std::uint64_t rows_done) {
  put_by_final_rows(rows_done);
  Checkpoint all = done_;
  all.candidates.clear();
  if (Spill* spill = state_.spill_store())
    all.finished.push_back(spill->finish());
  else if (shapes_.self_join)
    all.finished.push_back(write_rows(done_.rows_done, state_.held_end()));
  all.rows_done = shapes_.found_end();
  folder_.publish(all);
}

}  // namespace simtile::join
