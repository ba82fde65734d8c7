#include "tools/output.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "simtile/error.h"

namespace simtile::tools {
namespace {

void write_standard_output(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t moved = ::write(STDOUT_FILENO, bytes.data(), bytes.size());
    if (moved < 0 && errno == EINTR) continue;
    if (moved < 0 && errno == EPIPE) throw ReaderGone{};
    if (moved < 0) throw Error(ErrorCode::kIo, std::string("cannot write to standard output: ") + std::strerror(errno));
    bytes.remove_prefix(static_cast<std::size_t>(moved));
  }
}

}  // namespace

Output::Output(const std::string& path) {
  if (path != "-") file_.emplace(path);
  buffer_.reserve(kBufferBytes);
}

void Output::write(std::string_view bytes) {
  buffer_ += bytes;
  if (buffer_.size() >= kBufferBytes) flush();
}

void Output::flush() {
  if (file_)
    file_->file().write_at(std::as_bytes(std::span(buffer_)), written_);
  else
    write_standard_output(buffer_);
  written_ += buffer_.size();
  buffer_.clear();
}

void Output::finish() {
  flush();
  if (file_) file_->publish();
}

void print(std::string_view text) { write_standard_output(text); }

void print_line(std::string_view text) { print(std::string(text) + "\n"); }

void print_to_stderr(std::string_view text) noexcept {
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, text.data(), text.size());
}

}  // namespace simtile::tools
