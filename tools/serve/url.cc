#include "tools/serve/url.h"

#include <charconv>

namespace simtile::tools::serve {

std::optional<std::string> percent_decode(std::string_view text) {
  std::string decoded;
  decoded.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      decoded += text[i];
      continue;
    }
    unsigned value = 0;
    if (i + 2 >= text.size()) return std::nullopt;
    const auto [end, error] = std::from_chars(text.data() + i + 1, text.data() + i + 3, value, 16);
    if (error != std::errc{} || end != text.data() + i + 3) return std::nullopt;
    decoded += static_cast<char>(value);
    i += 2;
  }
  return decoded;
}

std::optional<Url> parse_target(std::string_view target) {
  Url url;
  const std::size_t question = target.find('?');
  if (question != std::string_view::npos) url.query = target.substr(question + 1);
  std::string_view path = target.substr(0, question);
  if (path.empty() || path.front() != '/') return std::nullopt;
  while (!path.empty()) {
    path.remove_prefix(1);
    const std::string_view segment = path.substr(0, path.find('/'));
    std::optional<std::string> decoded = percent_decode(segment);
    if (!decoded) return std::nullopt;
    url.segments.push_back(std::move(*decoded));
    path.remove_prefix(segment.size());
  }
  return url;
}

std::optional<std::vector<std::pair<std::string, std::string>>> parse_query(std::string_view query) {
  std::vector<std::pair<std::string, std::string>> parameters;
  while (!query.empty()) {
    const std::string_view part = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(query.size(), part.size() + 1));
    if (part.empty()) continue;
    const std::size_t equals = std::min(part.find('='), part.size());
    std::optional<std::string> name = percent_decode(part.substr(0, equals));
    std::optional<std::string> value = percent_decode(part.substr(std::min(part.size(), equals + 1)));
    if (!name || !value) return std::nullopt;
    parameters.emplace_back(std::move(*name), std::move(*value));
  }
  return parameters;
}

}  // namespace simtile::tools::serve
