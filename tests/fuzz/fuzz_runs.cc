// A run, changed and mostly sealed again: read from its start, from a row in its middle, and merged with an honest one.
#include "engine/join/run_file.h"
#include "engine/join/run_merge.h"
#include "tests/fuzz/in_memory.h"
#include "tests/fuzz/seal.h"

namespace simtile::fuzz {
namespace {

using namespace simtile::join;

constexpr unsigned kLeaveUnsealed = 0x80;  // in the first byte of an input
constexpr RunScope kScope{.job_identity = 7, .rows = 70, .base_rows = 70};
constexpr std::uint64_t kEntries = 120;

template <typename T>
std::string bytes_of(const T& value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

// Three blocks, shorter than a writer's, which readers take as well: little is read for each change.
std::string honest_run() {
  RunHeader header{{}, kRunVersion, 0, kScope.job_identity, 0};
  std::memcpy(header.magic, kRunMagic, sizeof header.magic);
  std::string bytes = bytes_of(header);
  for (std::uint32_t i = 0; i < kEntries; ++i) {
    const std::uint32_t row = i / 2, k = i % 2;
    if (i % (kEntries / 3) == 0) bytes += bytes_of(RunBlock{kEntries / 3, row, 0});
    bytes += bytes_of(RunEntry::of(row, topk::make_key(true, 1.0f - 0.1f * static_cast<float>(k), row + k)));
  }
  seal_run(bytes);
  return bytes;
}

void check(const RunEntry& entry) {
  require(entry.row < kScope.rows && topk::key_row(entry.key()) < kScope.base_rows, "entries name rows of the job");
}

class TwoRuns {
 public:
  TwoRuns() { write_file(run_path(work_dir_, 2), honest_); }

  void change_first(unsigned choice, Input& input) const {
    std::string bytes = honest_;
    apply_changes(input, bytes);
    if ((choice & kLeaveUnsealed) == 0) seal_run(bytes);
    write_file(run_path(work_dir_, 1), bytes);
  }

  void read_first(std::uint64_t from_row) const {
    RunReader reader(work_dir_, runs_[0], kScope);
    for (reader.seek(from_row); !reader.at_end(); reader.advance()) {
      check(reader.entry());
      require(reader.entry().row >= from_row, "seeking leaves no earlier row");
    }
  }

  void merge(std::uint64_t from_row) const { merge_runs(work_dir_, runs_, kScope, from_row, check); }

 private:
  const MemoryFolder folder_;
  const std::string work_dir_ = folder_ / ".";
  const std::string honest_ = honest_run();
  const std::vector<RunInfo> runs_{{1, kEntries}, {2, kEntries}};
};

}  // namespace
}  // namespace simtile::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace simtile::fuzz;
  static const TwoRuns runs;
  Input input(data, size);
  const unsigned choice = input.take<std::uint8_t>();
  const std::uint64_t from_row = input.take<std::uint16_t>() % (2 * kScope.rows);
  runs.change_first(choice, input);
  let_refuse([&] { choice % 2 == 0 ? runs.read_first(from_row) : runs.merge(from_row); });
  return 0;
}
