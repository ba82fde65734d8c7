#include "simtile/byte_size.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <utility>

#include "simtile/error.h"

namespace simtile {
namespace {

constexpr std::array<std::pair<std::string_view, double>, 10> kUnits{{{"", 1.0},
                                                                      {"b", 1.0},
                                                                      {"kb", 1e3},
                                                                      {"mb", 1e6},
                                                                      {"gb", 1e9},
                                                                      {"tb", 1e12},
                                                                      {"kib", 0x1p10},
                                                                      {"mib", 0x1p20},
                                                                      {"gib", 0x1p30},
                                                                      {"tib", 0x1p40}}};

}  // namespace

std::uint64_t parse_byte_size(std::string_view text) {
  const auto refuse = [&](const char* why) {
    return Error(ErrorCode::kInvalidArgument,
                 "'" + std::string(text) + "' is not a size" + why + "; write it like 512MiB, 2GiB, 1GB or 1048576");
  };
  double number = 0.0;
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
  if (error != std::errc{}) throw refuse("");
  if (!(number >= 0.0)) throw refuse(" of 0 or more");
  std::string unit;
  for (const char* c = rest; c != text.data() + text.size(); ++c)
    if (*c != ' ') unit += static_cast<char>(std::tolower(static_cast<unsigned char>(*c)));
  const auto found = std::find_if(kUnits.begin(), kUnits.end(), [&](const auto& u) { return u.first == unit; });
  if (found == kUnits.end()) throw refuse(" (unknown unit)");
  const double bytes = std::floor(number * found->second);
  if (bytes >= 0x1p63) throw refuse(" that fits in 63 bits");
  return static_cast<std::uint64_t>(bytes);
}

std::string format_byte_size(std::uint64_t bytes) {
  constexpr std::array<const char*, 5> kNames{"B", "KiB", "MiB", "GiB", "TiB"};
  double value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (value >= 1024.0 && unit + 1 < kNames.size()) {
    value /= 1024.0;
    ++unit;
  }
  char text[32];
  std::snprintf(text, sizeof text, unit == 0 ? "%.0f %s" : "%.1f %s", value, kNames[unit]);
  return text;
}

}  // namespace simtile
