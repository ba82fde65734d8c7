// Runs: what is written is read again, and what a job could not have written is refused although its checksum is right.
#include <gmock/gmock.h>

#include "engine/join/run_merge.h"
#include "tests/test_files.h"

namespace simtile::tests {
namespace {

using join::RunEntry;
using join::RunInfo;
using join::RunReader;
using join::RunScope;
using join::RunWriter;
using testing::HasSubstr;

constexpr RunScope kScope{.job_identity = 7, .rows = 5000, .base_rows = 100};

RunEntry entry(std::uint64_t row, std::uint32_t neighbour, float score = 0.5f) {
  return RunEntry::of(row, topk::make_key(true, score, neighbour));
}

RunInfo write_run(const TempFolder& folder, std::uint64_t serial, const std::vector<RunEntry>& entries) {
  RunWriter writer(folder.path(), serial, kScope.job_identity);
  for (const RunEntry& each : entries) writer.append(each);
  return writer.finish();
}

std::uint64_t count_entries(const TempFolder& folder, const RunInfo& run, std::uint64_t first_row = 0) {
  std::uint64_t count = 0;
  RunReader reader(folder.path(), run, kScope);
  for (reader.seek(first_row); !reader.at_end(); reader.advance()) ++count;
  return count;
}

std::vector<RunEntry> good_entries() {
  std::vector<RunEntry> entries;  // of more than one block
  for (std::uint64_t row = 0; row < kScope.rows; ++row) entries.push_back(entry(row, 99));
  return entries;
}

TEST(RunFile, GivesWhatWasWrittenFromAnyRowOn) {
  const TempFolder folder;
  const RunInfo run = write_run(folder, 1, good_entries());
  for (const std::uint64_t row : {0u, 1u, 4095u, 4096u, 4999u})
    EXPECT_EQ(count_entries(folder, run, row), kScope.rows - row);
}

TEST(RunFile, RowsThatTheJobDoesNotHaveAreRefusedInAnyBlock) {
  const TempFolder folder;
  for (const std::size_t at : {std::size_t{0}, std::size_t{4095}, std::size_t{4096}, good_entries().size() - 1})
    for (const RunEntry& forged :
         {entry(kScope.rows, 0), entry(UINT32_MAX, 0), entry(at, 100), entry(at, UINT32_MAX)}) {
      std::vector<RunEntry> entries = good_entries();
      entries[at] = forged;
      const RunInfo run = write_run(folder, 1, entries);
      const std::string message = expect_error(ErrorCode::kCorrupt, [&] { count_entries(folder, run); });
      EXPECT_THAT(message, HasSubstr("in the block at offset " + std::to_string(at < 4096 ? 32 : 49200)));
    }
}

TEST(RunFile, RowsOutOfOrderAreRefusedAcrossBlocksToo) {
  const TempFolder folder;
  for (const std::size_t at : {std::size_t{7}, std::size_t{4095}}) {
    std::vector<RunEntry> entries = good_entries();
    std::swap(entries[at], entries[at + 1]);
    const RunInfo run = write_run(folder, 1, entries);
    expect_error(ErrorCode::kCorrupt, [&] { count_entries(folder, run); });
  }
}

TEST(RunFile, MergingGivesEachEntryOnce) {
  const TempFolder folder;
  const std::vector<RunInfo> runs{write_run(folder, 1, {entry(1, 2), entry(3, 4)}),
                                  write_run(folder, 2, {entry(1, 2), entry(2, 2)})};
  std::vector<std::uint32_t> rows;
  join::merge_runs(folder.path(), runs, kScope, 0, [&](const RunEntry& each) { rows.push_back(each.row); });
  EXPECT_THAT(rows, testing::ElementsAre(1, 2, 3));
}

}  // namespace
}  // namespace simtile::tests
