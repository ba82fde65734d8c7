#include "engine/join/spill.h"

#include <algorithm>

#include "engine/join/run_merge.h"

namespace simtile::join {
Spill::Spill(WorkFolder& folder, PageBudget& budget, std::uint64_t memory_bytes, std::uint64_t kept,
             topk::Bounds& bounds)
    : folder_(&folder), kept_(kept), bounds_(&bounds) {
  const auto entries = static_cast<std::size_t>(plan::spill_buffer_entries(memory_bytes));
  memory_ = BudgetedMemory(budget, entries * sizeof(RunEntry));
  buffer_ = {memory_.as<RunEntry>(), entries};
}

void Spill::add(std::span<const RunEntry> entries) {
  const std::lock_guard lock(mutex_);
  while (!entries.empty()) {
    const std::size_t taken = std::min(entries.size(), buffer_.size() - used_);
    std::copy_n(entries.begin(), taken, buffer_.begin() + static_cast<std::ptrdiff_t>(used_));
    used_ += taken;
    entries = entries.subspan(taken);
    if (used_ == buffer_.size()) write_buffer(false);
  }
}

// Merging them is what gives their rows bounds again.
void Spill::adopt(std::vector<RunInfo> runs, std::uint64_t rows_done) {
  runs_ = std::move(runs);
  rows_passed_ = rows_done;
  if (!runs_.empty()) compact(rows_done);
}

void Spill::write_buffer(bool durable) {
  if (used_ == 0) return;
  std::sort(buffer_.begin(), buffer_.begin() + static_cast<std::ptrdiff_t>(used_));
  {
    RunWriter writer = folder_->begin_run();
    for (const RunEntry& entry : buffer_.first(used_)) writer.append(entry);
    runs_.push_back(writer.finish(durable));
    bytes_written_ += writer.bytes();
  }
  used_ = 0;
  if (runs_.size() >= kFanIn) compact(topk::kMaxRows);
}

void Spill::compact(std::uint64_t partners_below) {
  RunWriter writer = folder_->begin_run();
  std::uint64_t row = UINT64_MAX;
  std::uint64_t in_row = 0;
  merge_runs(folder_->path(), runs_, folder_->scope(), rows_passed_, [&](const RunEntry& entry) {
    if (topk::key_row(entry.key()) >= partners_below) return;
    in_row = entry.row == row ? in_row + 1 : 1;
    row = entry.row;
    if (in_row > kept_) return;
    writer.append(entry);
    if (in_row == kept_) bounds_->store(row, std::min(bounds_->load(row), topk::bound_that_admits(entry.key())));
  });
  // The old runs stay on disk until a checkpoint no longer names them.
  runs_ = {writer.finish(true)};
  bytes_written_ += writer.bytes();
}

void Spill::load(std::uint64_t begin, std::uint64_t end,
                 const std::function<void(std::uint64_t row, topk::Key)>& take) {
  for (const RunInfo& run : runs_) {
    RunReader reader(folder_->path(), run, folder_->scope());
    for (reader.seek(begin); !reader.at_end() && reader.entry().row < end; reader.advance())
      take(reader.entry().row, reader.entry().key());
  }
  std::size_t kept = 0;
  for (const RunEntry& entry : buffer_.first(used_)) {
    if (entry.row >= begin && entry.row < end) take(entry.row, entry.key());
    if (entry.row >= end) buffer_[kept++] = entry;
  }
  used_ = kept;
  rows_passed_ = end;
}

RunInfo Spill::finish() {
  write_buffer(false);
  compact(topk::kMaxRows);
  return runs_.front();
}

void Spill::flush_durably() {
  write_buffer(true);
  for (const RunInfo& run : runs_) os::File::open_for_reading(run_path(folder_->path(), run.serial)).sync();
}

}  // namespace simtile::join
