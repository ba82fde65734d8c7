// Names that the user gives to parts of a job or a service, and that go into files, addresses and reports as they are.
#pragma once

#include <algorithm>
#include <string_view>

namespace simtile {

// Letters, digits, '_', '-' and '.', at least one of them.
inline bool is_plain_name(std::string_view name) noexcept {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
           c == '.';
  });
}

}  // namespace simtile
