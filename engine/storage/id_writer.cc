#include "engine/storage/id_writer.h"

#include <xxhash.h>

#include <algorithm>
#include <queue>

#include "simtile/error.h"

namespace simtile::storage {
namespace {

// Reads one sorted chunk front to back through a small buffer.
class ChunkReader {
 public:
  ChunkReader(Spool& spool, std::uint64_t begin, std::uint64_t end) : spool_(&spool), next_(begin), end_(end) {}

  bool refill_if_empty() {
    if (at_ < buffer_.size()) return true;
    if (next_ == end_) return false;
    buffer_.resize(static_cast<std::size_t>(std::min<std::uint64_t>(kEntries, end_ - next_)));
    spool_->read_at(std::as_writable_bytes(std::span(buffer_)), next_ * sizeof(IdIndexEntry));
    next_ += buffer_.size();
    at_ = 0;
    return true;
  }
  const IdIndexEntry& front() const { return buffer_[at_]; }
  void pop() { ++at_; }

 private:
  static constexpr std::size_t kEntries = 1024;
  Spool* spool_;
  std::uint64_t next_;
  std::uint64_t end_;
  std::size_t at_ = 0;
  std::vector<IdIndexEntry> buffer_;
};

}  // namespace

IdWriter::IdWriter(const std::string& beside_path, IdKind kind)
    : kind_(kind), ids_(beside_path), offsets_(beside_path), chunks_(beside_path) {}

void IdWriter::append(std::uint64_t id) { append_bytes(std::as_bytes(std::span(&id, 1))); }

void IdWriter::append(std::string_view id) {
  if (id.empty())
    throw Error(ErrorCode::kCorrupt,
                "the id of row " + std::to_string(rows_) + " is empty; every row needs one that names it");
  const std::uint64_t start = ids_.bytes();
  offsets_.append(std::as_bytes(std::span(&start, 1)));
  append_bytes(std::as_bytes(std::span(id)));
}

void IdWriter::append_bytes(std::span<const std::byte> bytes) {
  ids_.append(bytes);
  chunk_.push_back({XXH3_64bits(bytes.data(), bytes.size()), rows_++});
  if (chunk_.size() == kChunkEntries) spool_chunk();
}

void IdWriter::spool_chunk() {
  std::sort(chunk_.begin(), chunk_.end());
  chunk_starts_.push_back(chunks_.bytes() / sizeof(IdIndexEntry));
  chunks_.append(std::as_bytes(std::span(chunk_)));
  chunk_.clear();
}

void IdWriter::write_sections(ContainerWriter& out) {
  SectionWriter ids = out.begin_section(SectionKind::kIds);
  ids_.copy_to(ids);
  out.end_section(std::move(ids));
  if (kind_ == IdKind::kString) {
    SectionWriter offsets = out.begin_section(SectionKind::kIdOffsets);
    offsets_.copy_to(offsets);
    const std::uint64_t end = ids_.bytes();
    offsets.append(std::as_bytes(std::span(&end, 1)));
    out.end_section(std::move(offsets));
  }
  write_index(out);
}

void IdWriter::write_index(ContainerWriter& out) {
  spool_chunk();
  std::vector<ChunkReader> readers;
  for (std::size_t i = 0; i < chunk_starts_.size(); ++i) {
    const std::uint64_t end =
        i + 1 < chunk_starts_.size() ? chunk_starts_[i + 1] : chunks_.bytes() / sizeof(IdIndexEntry);
    readers.emplace_back(chunks_, chunk_starts_[i], end);
  }
  const auto later = [&](std::size_t a, std::size_t b) { return readers[b].front() < readers[a].front(); };
  std::priority_queue<std::size_t, std::vector<std::size_t>, decltype(later)> heads(later);
  for (std::size_t i = 0; i < readers.size(); ++i)
    if (readers[i].refill_if_empty()) heads.push(i);

  SectionWriter index = out.begin_section(SectionKind::kIdIndex);
  while (!heads.empty()) {
    const std::size_t i = heads.top();
    heads.pop();
    index.append(std::as_bytes(std::span(&readers[i].front(), 1)));
    readers[i].pop();
    if (readers[i].refill_if_empty()) heads.push(i);
  }
  out.end_section(std::move(index));
}

}  // namespace simtile::storage
