#include "engine/storage/container_writer.h"

#include <xxhash.h>

#include <algorithm>
#include <cstring>
#include <optional>

#include "engine/base/checked.h"
#include "engine/storage/block_hash.h"
#include "simtile/error.h"

namespace simtile::storage {
namespace {

// Whether the path still names this file: not where somebody removed or replaced it.
bool names(const std::string& path, const os::File& file) {
  const std::optional<os::File::Identity> now = os::identity_of(path);
  const os::File::Identity own = file.identity();
  return now && now->device == own.device && now->inode == own.inode;
}

// Opens and locks the temporary. Between open and lock another writer may have published (renamed) or removed it; then
// the lock is on a file that no longer has this name, and the turn starts over.
os::File open_partial(const std::string& partial_path) {
  for (;;) {
    os::File file = os::File::open_for_writing(partial_path);
    if (!file.try_lock())
      throw Error(ErrorCode::kInvalidArgument, "'" + partial_path +
                                                   "' is being written by another process; wait for it, or name "
                                                   "another output");
    if (!names(partial_path, file)) continue;
    try {
      file.truncate(0);
    } catch (const Error&) {
      os::remove_file_quietly(partial_path);
      throw;
    }
    return file;
  }
}

std::string partial_path(const std::string& path) { return path + ".partial"; }

// A buffer of a small file stays small; beyond that it grows once.
void reserve_beyond_little(std::vector<std::byte>& buffer, std::size_t more, std::size_t most) {
  constexpr std::size_t kLittleBytes = std::size_t{32} << 10;
  if (buffer.size() + more > kLittleBytes) buffer.reserve(most);
}

}  // namespace

void check_output_path(const std::string& path) {
  if (os::is_directory(path))
    throw Error(ErrorCode::kInvalidArgument, "the output '" + path + "' is a folder; name a file");
  if (os::is_special_file(path))
    throw Error(ErrorCode::kInvalidArgument, "the output '" + path + "' is a device or a pipe; name a file");
}

void check_output_path(const std::string& path, const std::vector<std::string>& inputs) {
  check_output_path(path);
  for (const std::string& written : {path, partial_path(path)}) {
    const std::optional<os::File::Identity> output = os::identity_of(written);
    if (!output) continue;
    for (const std::string& input : inputs) {
      if (input.empty() || input == "-") continue;
      const std::optional<os::File::Identity> read = os::identity_of(input);
      if (read && read->device == output->device && read->inode == output->inode)
        throw Error(ErrorCode::kInvalidArgument, std::string("the output '")
                                                     .append(written)
                                                     .append("' is the input '")
                                                     .append(input)
                                                     .append("'; name another output"));
    }
  }
}

AtomicFile::AtomicFile(const std::string& path) : path_(path), partial_path_(partial_path(path)) {
  check_output_path(path);
  file_ = open_partial(partial_path_);
}

AtomicFile::~AtomicFile() {
  if (file_.is_open()) os::remove_file_quietly(partial_path_);
}

void AtomicFile::publish(Durability durability) {
  if (durability == Durability::kSynced) file_.sync();
  // Another's unfinished file must not become the output, nor be removed on the way out.
  if (!names(partial_path_, file_)) {
    file_.close();
    throw Error(ErrorCode::kIo, "'" + partial_path_ + "' was removed or replaced while it was being written; '" +
                                    path_ + "' is left as it was: run this again");
  }
  os::rename_over(partial_path_, path_);
  file_.close();
  if (durability == Durability::kSynced) os::sync_folder_of(path_);
}

SectionWriter::SectionWriter(const os::File& file, SectionKind kind, std::uint64_t offset, Durability durability)
    : file_(&file), kind_(kind), offset_(offset), durability_(durability) {}

void SectionWriter::append(std::span<const std::byte> bytes) {
  bytes_ += bytes.size();
  while (!bytes.empty()) {
    const std::size_t room = kBufferBytes - buffer_.size();
    const std::size_t taken = std::min(room, bytes.size());
    reserve_beyond_little(buffer_, taken, kBufferBytes);
    buffer_.insert(buffer_.end(), bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(taken));
    bytes = bytes.subspan(taken);
    if (buffer_.size() == kBufferBytes) flush();
  }
}

void SectionWriter::flush() {
  for (std::size_t at = 0; at < buffer_.size(); at += kBlockBytes)
    block_hashes_.push_back(hash_block(buffer_.data() + at, std::min<std::size_t>(kBlockBytes, buffer_.size() - at)));
  file_->write_at(buffer_, offset_ + flushed_);
  if (durability_ == Durability::kSynced) file_->start_writing_back(offset_ + flushed_, buffer_.size());
  flushed_ += buffer_.size();
  buffer_.clear();
}

void SectionWriter::pad_and_flush() {
  const std::uint64_t padded = round_up(flushed_ + buffer_.size(), kSectionAlignment);
  buffer_.resize(static_cast<std::size_t>(padded - flushed_));
  if (!buffer_.empty()) flush();
}

ContainerWriter::ContainerWriter(const std::string& path, std::span<const char, 8> magic, Durability durability)
    : out_(path), durability_(durability) {
  std::copy(magic.begin(), magic.end(), magic_);
}

SectionWriter ContainerWriter::begin_section(SectionKind kind) { return begin_section_at(kind, end_); }

SectionWriter ContainerWriter::begin_section_at(SectionKind kind, std::uint64_t offset) {
  return {out_.file(), kind, offset, durability_};
}

void ContainerWriter::end_section(SectionWriter&& section) {
  section.pad_and_flush();
  end_ = std::max(end_, section.offset_ + section.flushed_);
  sections_.push_back({{static_cast<std::uint32_t>(section.kind_), 0, section.offset_, section.bytes_, 0},
                       std::move(section.block_hashes_)});
}

std::uint64_t ContainerWriter::finish(std::span<const std::byte> body) {
  std::sort(sections_.begin(), sections_.end(),
            [](const Finished& a, const Finished& b) { return a.entry.offset < b.entry.offset; });
  ContainerHeader header{};
  std::memcpy(header.magic, magic_, sizeof magic_);
  header.format_version = kFormatVersion;
  header.header_bytes = kHeaderBytes;
  header.block_bytes = kBlockBytes;
  header.section_count = static_cast<std::uint32_t>(sections_.size());
  std::vector<std::uint64_t> table;
  for (std::size_t i = 0; i < sections_.size(); ++i) {
    header.sections[i] = sections_[i].entry;
    header.sections[i].first_block = table.size();
    table.insert(table.end(), sections_[i].block_hashes.begin(), sections_[i].block_hashes.end());
  }
  header.block_count = table.size();
  header.checksums_offset = end_;
  header.checksums_xxh3 = XXH3_64bits(table.data(), table.size() * sizeof table[0]);
  header.file_bytes = end_ + table.size() * sizeof table[0];
  std::memcpy(header.body, body.data(), body.size());
  header.header_xxh3 = XXH3_64bits(&header, offsetof(ContainerHeader, header_xxh3));

  out_.file().write_at(std::as_bytes(std::span(table)), end_);
  out_.file().write_at(std::as_bytes(std::span(&header, 1)), 0);
  out_.publish(durability_);
  return header.header_xxh3;
}

Spool::Spool(const std::string& beside_path) : file_(os::File::create_unnamed(beside_path)) {}

void Spool::append(std::span<const std::byte> bytes) {
  if (bytes.size() >= kBufferBytes) {
    flush();
    file_.write_at(bytes, flushed_);
    flushed_ += bytes.size();
    return;
  }
  if (buffer_.size() + bytes.size() > kBufferBytes) flush();
  reserve_beyond_little(buffer_, bytes.size(), kBufferBytes);
  buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
}

void Spool::flush() {
  file_.write_at(buffer_, flushed_);
  flushed_ += buffer_.size();
  buffer_.clear();
}

void Spool::read_at(std::span<std::byte> buffer, std::uint64_t offset) {
  flush();
  file_.read_exactly_at(buffer, offset);
}

void Spool::copy_to(SectionWriter& section) {
  flush();
  std::vector<std::byte> piece(static_cast<std::size_t>(std::min<std::uint64_t>(kBufferBytes, flushed_)));
  for (std::uint64_t at = 0; at < flushed_; at += piece.size()) {
    const auto bytes = std::span(piece).first(std::min<std::uint64_t>(piece.size(), flushed_ - at));
    file_.read_exactly_at(bytes, at);
    section.append(bytes);
  }
}

}  // namespace simtile::storage
