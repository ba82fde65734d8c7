// Reads several runs, or chains of them, as one sorted sequence.
#pragma once

#include <algorithm>
#include <cstdint>
#include <queue>
#include <span>
#include <string>
#include <vector>

#include "engine/join/run_file.h"
#include "engine/topk/sort_keys.h"

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

// The same, a row at a time: take(row, its keys). Where many runs hold a row, sorting its keys costs a small part of
// what comparing the runs' heads does for each of them.
template <typename Reader, typename Take>
void merge_rows(std::vector<Reader>& readers, Take take) {
  constexpr auto kNoRow = static_cast<std::uint32_t>(topk::kMaxRows);
  std::vector<topk::Key> keys;
  for (;;) {
    std::uint32_t row = kNoRow;
    for (const Reader& reader : readers)
      if (!reader.at_end()) row = std::min(row, reader.entry().row);
    if (row == kNoRow) return;
    keys.clear();
    for (Reader& reader : readers)
      for (; !reader.at_end() && reader.entry().row == row; reader.advance()) keys.push_back(reader.entry().key());
    topk::sort_keys(keys.data(), keys.size());
    keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
    take(row, std::span<const topk::Key>(keys));
  }
}

// Readers of all runs from `first_row` on. Each holds a block buffer.
inline std::vector<RunReader> open_runs(const std::string& work_dir, const std::vector<RunInfo>& runs,
                                        const RunScope& scope, std::uint64_t first_row) {
  std::vector<RunReader> readers;
  for (const RunInfo& run : runs) readers.emplace_back(work_dir, run, scope).seek(first_row);
  return readers;
}

// The entries of all runs from `first_row` on. Holds one block buffer for each run.
template <typename Take>
void merge_runs(const std::string& work_dir, const std::vector<RunInfo>& runs, const RunScope& scope,
                std::uint64_t first_row, Take take) {
  std::vector<RunReader> readers = open_runs(work_dir, runs, scope, first_row);
  merge_sorted(readers, take);
}

}  // namespace simtile::join
