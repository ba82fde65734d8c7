#include "engine/memory/kernel_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>

namespace simtile {

// They have no size of their own.
void read_kernel_file(const char* path, std::string* text) {
  text->clear();
  const int fd = ::open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return;
  char piece[4096];
  for (ssize_t n; (n = ::read(fd, piece, sizeof piece)) > 0;) text->append(piece, static_cast<std::size_t>(n));
  ::close(fd);
}

std::string read_kernel_file(const std::string& path) {
  std::string text;
  read_kernel_file(path.c_str(), &text);
  return text;
}

std::uint64_t parse_kernel_number(std::string_view text, std::uint64_t otherwise) {
  const std::size_t start = text.find_first_not_of(" \t");
  if (start == std::string_view::npos) return otherwise;
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data() + start, text.data() + text.size(), value);
  return error == std::errc{} && end != text.data() + start ? value : otherwise;
}

std::uint64_t kernel_field(std::string_view text, std::string_view key) {
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    if (text.substr(at, key.size()) == key)
      return parse_kernel_number(text.substr(at + key.size(), end - at - key.size()), 0);
    at = end + 1;
  }
  return 0;
}

}  // namespace simtile
