#include "engine/formats/line_reader.h"

#include <algorithm>
#include <cstring>

#include "simtile/error.h"

namespace simtile::formats {
namespace {

constexpr std::size_t kFirstBufferBytes = 4 << 10;  // which a short text does not fill
constexpr std::size_t kBufferBytes = 64 << 10;
constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

}  // namespace

LineReader::LineReader(std::unique_ptr<ByteStream> stream, std::size_t max_line_bytes)
    : stream_(std::move(stream)), max_line_bytes_(max_line_bytes), buffer_(kFirstBufferBytes) {}

std::string LineReader::where() const { return "'" + name() + "', line " + std::to_string(line_number_); }

// Makes room behind the unread bytes and reads on; false at the end of the stream.
bool LineReader::refill() {
  std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
  end_ -= begin_;
  begin_ = 0;
  if (end_ > max_line_bytes_)
    throw Error(ErrorCode::kCorrupt, "'" + name() + "', line " + std::to_string(line_number_ + 1) + ": longer than " +
                                         std::to_string(max_line_bytes_) + " bytes; is this a text of lines?");
  if (end_ == buffer_.size()) buffer_.resize(2 * buffer_.size());
  if (stream_->offset() >= kFirstBufferBytes && buffer_.size() < kBufferBytes) buffer_.resize(kBufferBytes);
  const std::size_t moved = stream_->read(std::as_writable_bytes(std::span(buffer_).subspan(end_)));
  end_ += moved;
  return moved > 0;
}

bool LineReader::next(std::string_view& line) {
  std::size_t searched = 0;
  for (;;) {
    const char* unread = buffer_.data() + begin_;
    const void* newline = std::memchr(unread + searched, '\n', end_ - begin_ - searched);
    std::size_t length = end_ - begin_;
    std::size_t consumed = length;
    if (newline != nullptr) {
      length = static_cast<std::size_t>(static_cast<const char*>(newline) - unread);
      consumed = length + 1;
    } else {
      searched = length;
      if (refill()) continue;
      if (length == 0) return false;
      unread = buffer_.data() + begin_;
    }
    begin_ += consumed;
    line = {unread, length};
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line_number_ == 0 && line.starts_with(kByteOrderMark)) line.remove_prefix(kByteOrderMark.size());
    ++line_number_;
    return true;
  }
}

}  // namespace simtile::formats
