#include "engine/join/spill.h"

#include <algorithm>
#include <queue>
#include <utility>

#include "engine/join/run_merge.h"

namespace simtile::join {
namespace {

// Where tiles leave a few entries each, their places would outgrow what the plan counts: beyond so many, the buffer is
// sorted and is one.
constexpr std::size_t kMostSequences = 16 << 10;

}  // namespace

Spill::Spill(WorkFolder& folder, PageBudget& budget, std::uint64_t memory_bytes, std::uint64_t kept,
             topk::Bounds& bounds)
    : folder_(&folder), kept_(kept), bounds_(&bounds) {
  const auto entries = static_cast<std::size_t>(plan::spill_buffer_entries(memory_bytes));
  memory_ = BudgetedMemory(budget, entries * sizeof(RunEntry));
  buffer_ = {memory_.as<RunEntry>(), entries};
  sequences_.reserve(kMostSequences);
}

void Spill::append(RunEntry entry) {
  if (used_ == buffer_.size()) write_buffer();
  if (used_ > 0 && sequences_.size() == kMostSequences && entry < buffer_[used_ - 1]) {
    std::sort(buffer_.begin(), buffer_.begin() + static_cast<std::ptrdiff_t>(used_));
    sequences_.assign(1, 0);
  }
  put(entry);
}

void Spill::put(const RunEntry& entry) {
  if (used_ == 0) sequences_.clear();
  if (used_ == 0 || entry < buffer_[used_ - 1]) sequences_.push_back(static_cast<std::uint32_t>(used_));
  buffer_[used_++] = entry;
}

// Merging them is what gives their rows bounds again.
void Spill::adopt(std::vector<RunInfo> runs, std::uint64_t rows_done) {
  runs_ = std::move(runs);
  rows_passed_ = rows_done;
  if (!runs_.empty()) compact(rows_done);
}

// A sequence is taken until its next entry comes behind another's, or behind the first of one that was not begun: tiles
// of one stripe are about different rows, so that most are taken whole.
template <typename Take>
void Spill::take_in_order(Take take) const {
  struct Sequence {
    const RunEntry* next;
    const RunEntry* end;
  };
  const auto later = [](const Sequence& a, const Sequence& b) { return *b.next < *a.next; };
  std::vector<Sequence> waiting;  // the first of them last
  for (std::size_t i = 0; i < sequences_.size(); ++i)
    waiting.push_back(
        {buffer_.data() + sequences_[i], buffer_.data() + (i + 1 < sequences_.size() ? sequences_[i + 1] : used_)});
  std::sort(waiting.begin(), waiting.end(), later);
  std::priority_queue<Sequence, std::vector<Sequence>, decltype(later)> begun(later);
  while (!waiting.empty() || !begun.empty()) {
    if (begun.empty() || (!waiting.empty() && *waiting.back().next < *begun.top().next)) {
      begun.push(waiting.back());
      waiting.pop_back();
    }
    Sequence first = begun.top();
    begun.pop();
    do take(*first.next++);
    while (first.next != first.end && (begun.empty() || *first.next < *begun.top().next) &&
           (waiting.empty() || *first.next < *waiting.back().next));
    if (first.next != first.end) begun.push(first);
  }
}

void Spill::write_buffer() {
  if (used_ == 0) return;
  {
    RunWriter writer = folder_->begin_run();
    take_in_order([&](const RunEntry& entry) { writer.append(entry); });
    runs_.push_back(writer.finish());
    bytes_written_ += writer.bytes();
  }
  used_ = 0;
  if (runs_.size() >= kFanIn) compact(topk::kMaxRows);
}

void Spill::compact(std::uint64_t partners_below) {
  RunWriter writer = folder_->begin_run();
  std::vector<RunReader> readers = open_runs(folder_->path(), runs_, folder_->scope(), rows_passed_);
  merge_rows(readers, [&](std::uint64_t row, std::span<const topk::Key> keys) {
    std::uint64_t in_row = 0;
    for (const topk::Key key : keys) {
      if (topk::key_row(key) >= partners_below) continue;
      writer.append(RunEntry::of(row, key));
      if (++in_row < kept_) continue;
      bounds_->store(row, std::min(bounds_->load(row), topk::bound_that_admits(key)));
      break;
    }
  });
  const std::vector<RunInfo> merged = std::exchange(runs_, {writer.finish()});
  readers.clear();
  folder_->remove_unnamed(merged);  // the others stay until a checkpoint no longer names them
  bytes_written_ += writer.bytes();
}

void Spill::load(std::uint64_t begin, std::uint64_t end,
                 const std::function<void(std::uint64_t row, topk::Key)>& take) {
  for (const RunInfo& run : runs_) {
    RunReader reader(folder_->path(), run, folder_->scope());
    for (reader.seek(begin); !reader.at_end() && reader.entry().row < end; reader.advance())
      take(reader.entry().row, reader.entry().key());
  }
  const std::span<const RunEntry> buffered = buffer_.first(used_);
  used_ = 0;
  for (const RunEntry& entry : buffered) {
    if (entry.row >= begin && entry.row < end) take(entry.row, entry.key());
    if (entry.row >= end) put(entry);
  }
  rows_passed_ = end;
}

RunInfo Spill::finish() {
  write_buffer();
  compact(topk::kMaxRows);
  return runs_.front();
}

const std::vector<RunInfo>& Spill::flush() {
  write_buffer();
  return runs_;
}

}  // namespace simtile::join
