// A run, changed and mostly sealed again: read from its start, from a row in its middle, and merged with an honest one.
#include "engine/join/run_file.h"
#include "engine/join/run_merge.h"
#include "simtile/error.h"
#include "tests/fuzz/in_memory.h"
#include "tests/fuzz/seal.h"
#include "tests/test_files.h"

namespace simtile::fuzz {
namespace {

using namespace simtile::join;

constexpr unsigned kLeaveUnsealed = 0x80;  // in the first byte of an input
constexpr RunScope kScope{.job_identity = 7, .rows = 2200, .base_rows = 2200};

// Two blocks and a few entries.
RunInfo write_run(const std::string& work_dir, std::uint64_t serial) {
  RunWriter writer(work_dir, serial, kScope.job_identity);
  for (std::uint32_t row = 0; row < 2100; ++row)
    for (std::uint32_t k = 0; k < 2; ++k)
      writer.append(RunEntry::of(row, topk::make_key(true, 1.0f - 0.1f * static_cast<float>(k), row + k)));
  return writer.finish();
}

void check(const RunEntry& entry) {
  require(entry.row < kScope.rows && topk::key_row(entry.key()) < kScope.base_rows, "entries name rows of the job");
}

void read_from(const std::string& work_dir, const RunInfo& run, std::uint64_t row) {
  RunReader reader(work_dir, run, kScope);
  for (reader.seek(row); !reader.at_end(); reader.advance()) {
    check(reader.entry());
    require(reader.entry().row >= row, "seeking leaves no earlier row");
  }
}

}  // namespace
}  // namespace simtile::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace simtile::fuzz;
  static const MemoryFolder folder;
  static const std::string work_dir = folder / ".";
  static const std::vector<RunInfo> runs{write_run(work_dir, 1), write_run(work_dir, 2)};
  static const std::string honest = simtile::tests::read_bytes(run_path(work_dir, 1));
  Input input(data, size);
  const unsigned choice = input.take<std::uint8_t>();
  const std::uint64_t row = input.take<std::uint16_t>();
  std::string bytes = honest;
  apply_changes(input, bytes);
  if ((choice & kLeaveUnsealed) == 0) seal_run(bytes);
  simtile::tests::write_bytes(run_path(work_dir, 1), bytes);
  try {
    if (choice % 2 == 0)
      read_from(work_dir, runs[0], row);
    else
      merge_runs(work_dir, runs, kScope, row, check);
  } catch (const simtile::Error&) {
  }
  return 0;
}
