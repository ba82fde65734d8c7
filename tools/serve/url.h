// The parts of a request's target: "/a/b%20c?k=1" is the path segments "a" and "b c" and the parameter k = "1".
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace simtile::tools::serve {

// Nothing where a % is not followed by two hexadecimal digits.
std::optional<std::string> percent_decode(std::string_view text);

struct Url {
  std::vector<std::string> segments;
  std::string query;  // behind the '?', as it came
};
std::optional<Url> parse_target(std::string_view target);

// Names and values, decoded.
std::optional<std::vector<std::pair<std::string, std::string>>> parse_query(std::string_view query);

}  // namespace simtile::tools::serve
