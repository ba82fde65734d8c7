// Prints the same facts as a table for people or as a JSON object for programs.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace simtile::tools {

// One fact: its JSON key and value, and how people read it: "budget_bytes", 1048576, "1.0 MiB".
struct Fact {
  std::string key;
  nlohmann::ordered_json value;
  std::string text;
};

Fact fact(const std::string& key, std::uint64_t number);
Fact fact(const std::string& key, const std::string& word);
Fact yes_or_no(const std::string& key, bool value);
// Shown with its unit, and the bytes beside it: "12.0 MiB (12582912)".
Fact size(const std::string& key, std::uint64_t bytes);
// Shown as "none" and null when absent.
Fact optional_number(const std::string& key, const float* number);

// "text:0.7 image:0.3": names and weights, in the order of the sum; empty where there are no fields.
template <typename Fields>
std::string describe_fields(const Fields& fields) {
  std::string text;
  for (const auto& field : fields) text += fmt::format("{}{}:{}", text.empty() ? "" : " ", field.name, field.weight);
  return text;
}

// A line a fact, "key  text", underscores as spaces and without "_bytes"; or one JSON object.
std::string to_table(const std::vector<Fact>& facts);
std::string to_json(const std::vector<Fact>& facts);

}  // namespace simtile::tools
