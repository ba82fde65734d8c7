// Lines of a text, one after the other, through a bounded buffer.
//
// A line ends with "\n" or "\r\n", which are not part of it; the last one needs no ending. A UTF-8 byte order mark at
// the start is skipped.
// Threads: one at a time. Errors: Error(kCorrupt) for a line longer than the limit, naming its number.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "engine/formats/byte_stream.h"

namespace simtile::formats {

inline constexpr std::size_t kMaxLineBytes = std::size_t{8} << 20;

class LineReader {
 public:
  explicit LineReader(std::unique_ptr<ByteStream> stream, std::size_t max_line_bytes = kMaxLineBytes);

  // Gives the next line, valid until the next call; false at the end.
  bool next(std::string_view& line);
  // Of the line given last, from 1.
  std::uint64_t line_number() const noexcept { return line_number_; }
  // "'file', line 3": where the line given last stands.
  std::string where() const;
  const std::string& name() const noexcept { return stream_->name(); }

 private:
  bool refill();
  std::unique_ptr<ByteStream> stream_;
  std::size_t max_line_bytes_;
  std::vector<char> buffer_;
  std::size_t begin_ = 0;  // the unread bytes are buffer_[begin_, end_)
  std::size_t end_ = 0;
  std::uint64_t line_number_ = 0;
};

}  // namespace simtile::formats
