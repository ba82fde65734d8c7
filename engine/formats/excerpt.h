// A piece of a foreign file as it may stand in a one-line message.
#pragma once

#include <string>
#include <string_view>

namespace simtile::formats {

// At most 80 bytes, control characters replaced.
inline std::string excerpt(std::string_view text) {
  constexpr std::size_t kMostBytes = 80;
  std::string shown(text.substr(0, kMostBytes));
  for (char& c : shown)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  return text.size() > kMostBytes ? shown + "..." : shown;
}

}  // namespace simtile::formats
