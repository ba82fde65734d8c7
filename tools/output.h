// Where data goes: standard output, or a file that appears whole under its name.
//
// Errors: Error(kIo) when the system refuses a write, standard output included; ReaderGone when the reader of standard
// output has closed its end, which is no failure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "engine/storage/container_writer.h"

namespace simtile::tools {

struct ReaderGone {};

class Output {
 public:
  // "-" is standard output.
  explicit Output(const std::string& path);
  void write(std::string_view bytes);
  // Writes what is buffered; a file is published. Without it, nothing is left behind in a file's place.
  void finish();

 private:
  static constexpr std::size_t kBufferBytes = 64 * 1024;
  void flush();

  std::optional<storage::AtomicFile> file_;
  std::string buffer_;
  std::uint64_t written_ = 0;
};

// To standard output.
void print(std::string_view text);
void print_line(std::string_view text);
// To standard error, in one piece; where that cannot be written, nothing is left to be done.
void print_to_stderr(std::string_view text) noexcept;

}  // namespace simtile::tools
