#include "engine/join/pair_store.h"

#include <algorithm>

#include "engine/base/os.h"

namespace simtile::join {

PairStore::PairStore(WorkFolder& folder, PageBudget& budget, std::uint64_t memory_bytes) : folder_(&folder) {
  constexpr std::uint64_t kBlockBuffers = (kFanIn + 2) * (kEntriesPerBlock * sizeof(RunEntry) + os::kPageBytes);
  memory_ = BudgetedMemory(budget, memory_bytes - kBlockBuffers);
  buffer_ = {memory_.as<RunEntry>(), static_cast<std::size_t>(memory_.bytes() / sizeof(RunEntry))};
}

void PairStore::add(std::span<const RunEntry> entries) {
  const std::lock_guard lock(mutex_);
  while (!entries.empty()) {
    const std::size_t taken = std::min(entries.size(), buffer_.size() - used_);
    std::copy_n(entries.begin(), taken, buffer_.begin() + static_cast<std::ptrdiff_t>(used_));
    used_ += taken;
    entries = entries.subspan(taken);
    if (used_ == buffer_.size()) write_buffer();
  }
}

// How often they have been merged is not known, and does not matter: they come before all that is written now.
void PairStore::adopt(std::span<const RunInfo> runs) {
  for (const RunInfo& run : runs) runs_.push_back({run, UINT32_MAX});
}

void PairStore::write_buffer() {
  if (used_ == 0) return;
  std::sort(buffer_.begin(), buffer_.begin() + static_cast<std::ptrdiff_t>(used_));
  RunWriter writer = folder_->begin_run();
  for (const RunEntry& entry : buffer_.first(used_)) writer.append(entry);
  runs_.push_back({writer.finish(), 0});
  bytes_written_ += writer.bytes();
  used_ = 0;
  const auto whole_level = [&] {
    return runs_.size() >= kFanIn && runs_[runs_.size() - kFanIn].level == runs_.back().level;
  };
  while (whole_level()) merge_last(kFanIn);
}

void PairStore::merge_last(std::size_t count, const std::function<void()>& throw_if_stopped) {
  const std::size_t kept = runs_.size() - count;
  std::vector<RunInfo> merged;
  for (std::size_t i = kept; i < runs_.size(); ++i) merged.push_back(runs_[i].info);
  const std::uint32_t level = runs_[kept].level;
  RunWriter writer = folder_->begin_run();
  std::uint64_t row = UINT64_MAX;
  merge_runs(folder_->path(), merged, folder_->scope(), 0, [&](const RunEntry& entry) {
    if (entry.row != row && throw_if_stopped) throw_if_stopped();
    row = entry.row;
    writer.append(entry);
  });
  runs_.resize(kept);
  runs_.push_back({writer.finish(), level == UINT32_MAX ? level : level + 1});
  folder_->remove_unnamed(merged);  // the others stay until a checkpoint no longer names them
  bytes_written_ += writer.bytes();
}

std::vector<RunInfo> PairStore::flush() {
  write_buffer();
  std::vector<RunInfo> runs;
  for (const Run& run : runs_) runs.push_back(run.info);
  return runs;
}

}  // namespace simtile::join
