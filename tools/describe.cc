#include "tools/describe.h"

#include <algorithm>

#include "simtile/byte_size.h"

namespace simtile::tools {

Fact fact(const std::string& key, std::uint64_t number) { return {key, number, std::to_string(number)}; }

Fact fact(const std::string& key, const std::string& word) { return {key, word, word}; }

Fact yes_or_no(const std::string& key, bool value) { return {key, value, value ? "yes" : "no"}; }

Fact size(const std::string& key, std::uint64_t bytes) {
  return {key, bytes, fmt::format("{} ({})", format_byte_size(bytes), bytes)};
}

Fact optional_number(const std::string& key, const float* number) {
  if (number == nullptr) return {key, nullptr, "none"};
  return {key, *number, fmt::format("{}", *number)};
}

std::string to_table(const std::vector<Fact>& facts) {
  std::size_t width = 0;
  for (const Fact& each : facts) width = std::max(width, each.key.size());
  std::string table;
  for (const Fact& each : facts) {
    std::string label = each.key;
    if (label.ends_with("_bytes")) label.resize(label.size() - 6);  // the text says the unit itself
    std::replace(label.begin(), label.end(), '_', ' ');
    table += fmt::format("{:<{}}  {}\n", label, width, each.text);
  }
  return table;
}

std::string to_json(const std::vector<Fact>& facts) {
  nlohmann::ordered_json json;
  for (const Fact& each : facts) json[each.key] = each.value;
  return json.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace simtile::tools
