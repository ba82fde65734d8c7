#include "engine/formats/entry_sorter.h"

#include <algorithm>

namespace simtile::formats {
namespace {

constexpr std::size_t kChunkEntries = 512 << 10;
constexpr std::size_t kMinBufferEntries = 64;
constexpr std::size_t kMaxBufferEntries = 16 << 10;

bool before(const Entry& a, const Entry& b) noexcept { return a.row != b.row ? a.row < b.row : a.column < b.column; }

}  // namespace

void EntrySorter::append(const Entry& entry) {
  chunk_.push_back(entry);
  if (chunk_.size() == kChunkEntries) spool_chunk();
}

void EntrySorter::spool_chunk() {
  // Most files are in order already.
  if (!std::is_sorted(chunk_.begin(), chunk_.end(), before)) std::sort(chunk_.begin(), chunk_.end(), before);
  spool_.append(std::as_bytes(std::span(chunk_)));
  chunk_ends_.push_back(spool_.bytes() / sizeof(Entry));
  chunk_.clear();
}

void EntrySorter::finish() {
  if (!chunk_.empty()) spool_chunk();
  chunk_ = {};
  if (chunk_ends_.empty()) return;
  buffer_entries_ = std::clamp(kChunkEntries / chunk_ends_.size(), kMinBufferEntries, kMaxBufferEntries);
  std::uint64_t begin = 0;
  for (const std::uint64_t end : chunk_ends_) {
    chunks_.push_back({.next = begin, .end = end, .buffer = {}});
    begin = end;
  }
  for (std::size_t i = 0; i < chunks_.size(); ++i)
    if (refill(chunks_[i])) heads_.push_back(i);
  std::make_heap(heads_.begin(), heads_.end(), [this](std::size_t a, std::size_t b) { return later(a, b); });
}

bool EntrySorter::refill(Chunk& chunk) {
  chunk.at = 0;
  chunk.buffer.resize(static_cast<std::size_t>(std::min<std::uint64_t>(buffer_entries_, chunk.end - chunk.next)));
  if (chunk.buffer.empty()) return false;
  spool_.read_at(std::as_writable_bytes(std::span(chunk.buffer)), chunk.next * sizeof(Entry));
  chunk.next += chunk.buffer.size();
  return true;
}

bool EntrySorter::later(std::size_t a, std::size_t b) const {
  return before(chunks_[b].buffer[chunks_[b].at], chunks_[a].buffer[chunks_[a].at]);
}

bool EntrySorter::next(Entry* entry) {
  if (heads_.empty()) return false;
  const auto order = [this](std::size_t a, std::size_t b) { return later(a, b); };
  std::pop_heap(heads_.begin(), heads_.end(), order);
  Chunk& chunk = chunks_[heads_.back()];
  *entry = chunk.buffer[chunk.at++];
  if (chunk.at < chunk.buffer.size() || refill(chunk))
    std::push_heap(heads_.begin(), heads_.end(), order);
  else
    heads_.pop_back();
  return true;
}

}  // namespace simtile::formats
