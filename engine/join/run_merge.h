// Reads several runs, or chains of them, as one sorted sequence.
#pragma once

#include <cstdint>
#include <queue>
#include <string>
#include <vector>

#include "engine/join/run_file.h"

namespace simtile::join {

// Gives the entries of all readers in order, each once even when two readers hold it.
template <typename Reader, typename Take>
void merge_sorted(std::vector<Reader>& readers, Take take) {
  const auto later = [&](std::size_t a, std::size_t b) { return readers[b].entry() < readers[a].entry(); };
  std::priority_queue<std::size_t, std::vector<std::size_t>, decltype(later)> heads(later);
  for (std::size_t i = 0; i < readers.size(); ++i)
    if (!readers[i].at_end()) heads.push(i);
  RunEntry previous = RunEntry::of(topk::kMaxRows, topk::kNoBound);
  while (!heads.empty()) {
    const std::size_t i = heads.top();
    heads.pop();
    const RunEntry entry = readers[i].entry();
    if (previous < entry || entry < previous) take(entry);
    previous = entry;
    readers[i].advance();
    if (!readers[i].at_end()) heads.push(i);
  }
}

// The entries of all runs from `first_row` on. Holds one block buffer for each run.
template <typename Take>
void merge_runs(const std::string& work_dir, const std::vector<RunInfo>& runs, const RunScope& scope,
                std::uint64_t first_row, Take take) {
  std::vector<RunReader> readers;
  for (const RunInfo& run : runs) readers.emplace_back(work_dir, run, scope).seek(first_row);
  merge_sorted(readers, take);
}

}  // namespace simtile::join
