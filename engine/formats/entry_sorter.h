// Sorts the entries of a sparse matrix by row and column in bounded memory, however many there are: chunks are sorted
// in memory and set aside on disk, then merged.
//
// Order of use: append every entry, finish(), then next() until it says false. Threads: one at a time.
// Memory: 8 MiB for the chunk, then 8 MiB for the merge.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/storage/container_writer.h"

namespace simtile::formats {

struct Entry {
  std::uint64_t row;
  std::uint32_t column;
  float value;
};
static_assert(sizeof(Entry) == 16);

class EntrySorter {
 public:
  explicit EntrySorter(const std::string& spool_beside) : spool_(spool_beside) {}

  void append(const Entry& entry);
  void finish();
  // The next entry in the order of rows and, within a row, columns.
  bool next(Entry* entry);

 private:
  struct Chunk {
    std::uint64_t next;  // unread entries in the spool
    std::uint64_t end;
    std::size_t at = 0;  // in the buffer
    std::vector<Entry> buffer;
  };
  void spool_chunk();
  bool refill(Chunk& chunk);
  bool later(std::size_t a, std::size_t b) const;

  storage::Spool spool_;
  std::vector<Entry> chunk_;
  std::vector<std::uint64_t> chunk_ends_;  // in entries
  std::vector<Chunk> chunks_;
  std::vector<std::size_t> heads_;  // a heap of the chunks that have entries left, the smallest on top
  std::size_t buffer_entries_ = 0;
};

}  // namespace simtile::formats
