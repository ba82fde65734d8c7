// Runs: sorted, checksummed pieces of results on disk. docs/file_format.md tells the bytes in prose.
//
//   | RunHeader | RunBlock, entries | RunBlock, entries | ... |
//
// Entries ascend by row, then key (candidate_key.h); a block holds up to kEntriesPerBlock of them behind its own hash,
// so a reader checks what it reads and says which block is damaged. How many entries a whole run has stands in the
// journal: a run that ends early is known to be cut.
//
// Threads: one at a time for each reader or writer.
// Errors: Error(kCorrupt) names the file and the block, also where a right checksum covers rows that the job does not
// have; Error(kIo) when the system refuses.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "engine/base/os.h"
#include "engine/plan/memory_model.h"
#include "engine/topk/candidate_key.h"

namespace simtile::join {

inline constexpr char kRunMagic[8] = {'S', 'I', 'M', 'T', 'R', 'U', 'N', '\n'};
inline constexpr std::uint32_t kRunVersion = 1;
inline constexpr std::size_t kEntriesPerBlock = plan::kRunBlockEntries;

struct RunHeader {
  char magic[8];
  std::uint32_t version;
  std::uint32_t reserved;
  std::uint64_t job_identity;
  std::uint64_t header_xxh3;  // of the bytes before it
};
static_assert(sizeof(RunHeader) == 32);

struct RunBlock {
  std::uint32_t entries;
  std::uint32_t first_row;
  std::uint64_t xxh3;  // of `entries`, `first_row`, then the entries' bytes
};
static_assert(sizeof(RunBlock) == 16);

struct RunEntry {
  std::uint32_t row;
  std::uint32_t key_low;
  std::uint32_t key_high;

  static RunEntry of(std::uint64_t row, topk::Key key) noexcept {
    return {static_cast<std::uint32_t>(row), static_cast<std::uint32_t>(key), static_cast<std::uint32_t>(key >> 32)};
  }
  topk::Key key() const noexcept { return (static_cast<topk::Key>(key_high) << 32) | key_low; }
  friend bool operator<(const RunEntry& a, const RunEntry& b) noexcept {
    return a.row != b.row ? a.row < b.row : a.key() < b.key();
  }
};
static_assert(sizeof(RunEntry) == 12);

// What the runs of a job have in common: whose they are, and which rows they may name.
struct RunScope {
  std::uint64_t job_identity = 0;
  std::uint64_t rows = 0;       // query rows
  std::uint64_t base_rows = 0;  // that may be their neighbours
};

// What the journal remembers of a run.
struct RunInfo {
  std::uint64_t serial = 0;  // names the file in the work folder
  std::uint64_t entries = 0;
};
std::string run_path(const std::string& work_dir, std::uint64_t serial);

class RunWriter {
 public:
  RunWriter(const std::string& work_dir, std::uint64_t serial, std::uint64_t job_identity);
  // Entries ascend from call to call.
  void append(RunEntry entry);
  // For a run that the next checkpoint names: the disk begins early, so that WorkFolder::publish() has less to wait
  // for. Of other runs most are merged and removed before it would.
  void write_back_early() noexcept { writes_back_early_ = true; }
  // Writes what is buffered. That it is on disk, WorkFolder::publish() sees to.
  RunInfo finish();
  std::uint64_t bytes() const noexcept { return offset_; }

 private:
  void flush();
  void start_writing_back();

  os::File file_;
  std::uint64_t serial_;
  std::uint64_t offset_ = 0;
  bool writes_back_early_ = false;
  std::uint64_t written_back_ = 0;  // begun to be
  std::uint64_t entries_ = 0;
  std::vector<RunEntry> block_;
  std::vector<std::byte> encoded_;
};

class RunReader {
 public:
  RunReader(const std::string& work_dir, const RunInfo& info, const RunScope& scope);

  // The entry under the cursor; only while !at_end().
  const RunEntry& entry() const noexcept { return block_[at_]; }
  bool at_end() const noexcept { return at_ == block_.size(); }
  void advance();
  // Skips whole blocks, then entries, to the first entry of `row` or a later one. Forward only.
  void seek(std::uint64_t row);
  const RunInfo& info() const noexcept { return info_; }

 private:
  [[noreturn]] void refuse(const std::string& why) const;
  RunBlock read_block_header() const;
  void load_block();
  void check_entries();

  os::File file_;
  RunInfo info_;
  RunScope scope_;
  std::uint64_t offset_ = 0;  // of the next block
  std::uint64_t asked_until_ = 0;
  std::uint64_t passed_ = 0;  // entries in blocks before the next one
  RunEntry last_{};           // of the block before
  std::vector<RunEntry> block_;
  std::size_t at_ = 0;
};

}  // namespace simtile::join
