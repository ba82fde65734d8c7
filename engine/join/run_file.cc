#include "engine/join/run_file.h"

#include <xxhash.h>

#include <algorithm>
#include <cstring>

#include "engine/base/checked.h"
#include "simtile/error.h"

namespace simtile::join {
namespace {

// Asked for while the blocks before it are taken. Runs are merged side by side: what each has on its way counts in the
// page cache of a small cgroup.
constexpr std::uint64_t kReadAheadBytes = 256 << 10;
// Handed to the disk while the next are written.
constexpr std::uint64_t kWriteBackBytes = 1 << 20;

std::uint64_t block_hash(const RunBlock& block, const RunEntry* entries) {
  return XXH3_64bits_withSeed(entries, block.entries * sizeof(RunEntry),
                              (static_cast<std::uint64_t>(block.first_row) << 32) | block.entries);
}

}  // namespace

std::string run_path(const std::string& work_dir, std::uint64_t serial) {
  return work_dir + "/" + std::to_string(serial) + ".run";
}

RunWriter::RunWriter(const std::string& work_dir, std::uint64_t serial, std::uint64_t job_identity)
    : file_(os::File::create(run_path(work_dir, serial))), serial_(serial) {
  RunHeader header{};
  std::memcpy(header.magic, kRunMagic, sizeof header.magic);
  header.version = kRunVersion;
  header.job_identity = job_identity;
  header.header_xxh3 = XXH3_64bits(&header, offsetof(RunHeader, header_xxh3));
  file_.write_at(std::as_bytes(std::span(&header, 1)), 0);
  offset_ = sizeof header;
  block_.reserve(kEntriesPerBlock);
  encoded_.reserve(sizeof(RunBlock) + kEntriesPerBlock * sizeof(RunEntry));
}

void RunWriter::append(RunEntry entry) {
  block_.push_back(entry);
  if (block_.size() == kEntriesPerBlock) flush();
}

void RunWriter::flush() {
  if (block_.empty()) return;
  RunBlock header{static_cast<std::uint32_t>(block_.size()), block_.front().row, 0};
  header.xxh3 = block_hash(header, block_.data());
  const auto head = std::as_bytes(std::span(&header, 1));
  const auto body = std::as_bytes(std::span(block_));
  encoded_.assign(head.begin(), head.end());
  encoded_.insert(encoded_.end(), body.begin(), body.end());
  file_.write_at(encoded_, offset_);
  offset_ += encoded_.size();
  entries_ += block_.size();
  block_.clear();
  if (writes_back_early_ && offset_ - written_back_ >= kWriteBackBytes) start_writing_back();
}

void RunWriter::start_writing_back() {
  file_.start_writing_back(written_back_, offset_ - written_back_);
  written_back_ = offset_;
}

RunInfo RunWriter::finish() {
  flush();
  if (writes_back_early_) start_writing_back();
  return {serial_, entries_};
}

RunReader::RunReader(const std::string& work_dir, const RunInfo& info, const RunScope& scope)
    : info_(info), scope_(scope) {
  const std::string path = run_path(work_dir, info.serial);
  if (!os::exists(path))
    throw Error(ErrorCode::kCorrupt, "the run '" + path + "' is missing; start the job over with --fresh");
  file_ = os::File::open_for_reading(path);
  file_.advise_random();
  std::uint64_t entry_bytes = 0;
  if (multiply_overflows(info.entries, sizeof(RunEntry), &entry_bytes) ||
      file_.size() < sizeof(RunHeader) + divide_up(info.entries, kEntriesPerBlock) * sizeof(RunBlock) ||
      file_.size() - divide_up(info.entries, kEntriesPerBlock) * sizeof(RunBlock) - sizeof(RunHeader) < entry_bytes)
    refuse("was cut short");
  RunHeader header{};
  file_.read_exactly_at(std::as_writable_bytes(std::span(&header, 1)), 0);
  if (std::memcmp(header.magic, kRunMagic, sizeof header.magic) != 0 || header.version != kRunVersion ||
      header.header_xxh3 != XXH3_64bits(&header, offsetof(RunHeader, header_xxh3)) ||
      header.job_identity != scope.job_identity)
    refuse("is no run of this job (its header, at offset 0, is damaged or another job's)");
  offset_ = sizeof header;
  load_block();
}

void RunReader::refuse(const std::string& why) const {
  throw Error(ErrorCode::kCorrupt, "'" + file_.path() + "' " + why + "; start the job over with --fresh");
}

RunBlock RunReader::read_block_header() const {
  RunBlock header{};
  file_.read_exactly_at(std::as_writable_bytes(std::span(&header, 1)), offset_);
  if (header.entries == 0 || header.entries > kEntriesPerBlock || header.entries > info_.entries - passed_)
    refuse("has a damaged block at offset " + std::to_string(offset_));
  return header;
}

void RunReader::load_block() {
  block_.clear();
  at_ = 0;
  if (passed_ == info_.entries) return;
  asked_until_ = std::max(asked_until_, offset_);
  if (offset_ + kReadAheadBytes / 2 >= asked_until_) {
    file_.advise_will_need(asked_until_, kReadAheadBytes);
    asked_until_ += kReadAheadBytes;
  }
  const RunBlock header = read_block_header();
  block_.resize(header.entries);
  file_.read_exactly_at(std::as_writable_bytes(std::span(block_)), offset_ + sizeof header);
  if (header.xxh3 != block_hash(header, block_.data()) || header.first_row != block_.front().row)
    refuse("has a damaged block at offset " + std::to_string(offset_) + " (its checksum does not match)");
  check_entries();
  offset_ += sizeof header + header.entries * sizeof(RunEntry);
  passed_ += header.entries;
}

// The rows become indices into the state of the job.
void RunReader::check_entries() {
  for (const RunEntry& entry : block_) {
    if (entry.row >= scope_.rows || topk::key_row(entry.key()) >= scope_.base_rows || entry < last_)
      refuse("names a row that the job does not have, or rows out of order, in the block at offset " +
             std::to_string(offset_));
    last_ = entry;
  }
}

void RunReader::advance() {
  if (++at_ == block_.size()) load_block();
}

void RunReader::seek(std::uint64_t row) {
  // A block may be skipped when the one after it also starts before `row`.
  while (!at_end() && block_.back().row < row) {
    while (passed_ < info_.entries) {
      const RunBlock next = read_block_header();
      if (next.first_row >= row || passed_ + next.entries == info_.entries) break;
      const std::uint64_t after = offset_ + sizeof next + next.entries * sizeof(RunEntry);
      RunBlock following{};
      file_.read_exactly_at(std::as_writable_bytes(std::span(&following, 1)), after);
      if (following.first_row >= row) break;
      offset_ = after;
      passed_ += next.entries;
    }
    load_block();
  }
  while (!at_end() && entry().row < row) advance();
}

}  // namespace simtile::join
