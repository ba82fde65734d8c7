#include "tools/serve/search_request.h"

#include <simdjson.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <new>
#include <span>

#include "simtile/error.h"
#include "tools/serve/base64.h"
#include "tools/serve/url.h"

namespace simtile::tools::serve {
namespace {

using simdjson::dom::element;
using simdjson::dom::element_type;

std::string at(const std::string& field, std::size_t index) { return field + "[" + std::to_string(index) + "]"; }

float parse_component(element value, const std::string& vector, std::size_t index) {
  double number = 0.0;
  if (value.get(number) != simdjson::SUCCESS) throw bad_field(at(vector, index), "is not a number");
  const auto component = static_cast<float>(number);
  if (!std::isfinite(component)) throw bad_field(at(vector, index), "is beyond the range of binary32");
  return component;
}

void check_queries(std::size_t queries, const std::string& field, const Limits& limits) {
  if (queries == 0) throw bad_field(field, "is empty; give at least one query");
  if (queries > limits.batch_queries)
    throw over_limit("batch_queries", limits.batch_queries, field,
                     "has " + std::to_string(queries) + " queries; send them in several requests");
}

void parse_vector(element value, const std::string& field, std::uint64_t columns, std::vector<float>& to) {
  simdjson::dom::array numbers;
  if (value.get(numbers) != simdjson::SUCCESS) throw bad_field(field, "is not an array of numbers");
  std::size_t count = 0;
  for (const element number : numbers) {
    if (count == columns) throw bad_field(field, "has more than the index's " + std::to_string(columns) + " columns");
    to.push_back(parse_component(number, field, count++));
  }
  if (count != columns)
    throw bad_field(
        field, "has " + std::to_string(count) + " values, but the index has " + std::to_string(columns) + " columns");
}

std::vector<float> parse_vectors(element value, std::uint64_t columns, const Limits& limits) {
  simdjson::dom::array vectors;
  if (value.get(vectors) != simdjson::SUCCESS) throw bad_field("vectors", "is not an array of arrays of numbers");
  std::vector<float> values;
  std::size_t count = 0;
  for (const element vector : vectors) {
    check_queries(count + 1, "vectors", limits);
    parse_vector(vector, at("vectors", count++), columns, values);
  }
  check_queries(count, "vectors", limits);
  return values;
}

std::vector<float> parse_floats(std::span<const std::byte> bytes, const std::string& field, std::uint64_t columns,
                                const Limits& limits) {
  const std::uint64_t row_bytes = columns * sizeof(float);
  if (bytes.size() % row_bytes != 0)
    throw bad_field(field, "has " + std::to_string(bytes.size()) + " bytes, which is no whole number of vectors of " +
                               std::to_string(columns) + " f32 (" + std::to_string(row_bytes) + " bytes each)");
  check_queries(static_cast<std::size_t>(bytes.size() / row_bytes), field, limits);
  std::vector<float> values(bytes.size() / sizeof(float));
  std::memcpy(values.data(), bytes.data(), bytes.size());
  const auto odd = std::find_if(values.begin(), values.end(), [](float value) { return !std::isfinite(value); });
  if (odd != values.end()) {
    const auto index = static_cast<std::uint64_t>(odd - values.begin());
    throw bad_field(field, "has a value that is not finite, in vector " + std::to_string(index / columns) +
                               ", column " + std::to_string(index % columns));
  }
  return values;
}

std::vector<float> parse_base64(element value, std::uint64_t columns, const Limits& limits) {
  std::string_view text;
  if (value.get(text) != simdjson::SUCCESS) throw bad_field("vectors_base64", "is not a string");
  const auto bytes = decode_base64(text);
  if (!bytes) throw bad_field("vectors_base64", "is not base64");
  return parse_floats(*bytes, "vectors_base64", columns, limits);
}

std::string parse_id(element value, const std::string& field) {
  std::string_view text;
  if (value.get(text) == simdjson::SUCCESS) return std::string(text);
  std::uint64_t number = 0;
  if (value.type() != element_type::DOUBLE && value.get(number) == simdjson::SUCCESS) return std::to_string(number);
  throw bad_field(field, "is not an id: a string, or a whole number of 0 or more");
}

std::vector<std::string> parse_ids(element value, const std::string& field, const char* limit, std::uint64_t most) {
  simdjson::dom::array ids;
  if (value.get(ids) != simdjson::SUCCESS) throw bad_field(field, "is not an array of ids");
  std::vector<std::string> parsed;
  for (const element id : ids) {
    if (parsed.size() == most) throw over_limit(limit, most, field, "has more than " + std::to_string(most) + " ids");
    parsed.push_back(parse_id(id, at(field, parsed.size())));
  }
  return parsed;
}

std::uint64_t parse_count(element value, const std::string& field) {
  std::uint64_t number = 0;
  if (value.type() == element_type::DOUBLE || value.get(number) != simdjson::SUCCESS)
    throw bad_field(field, "is not a whole number of 0 or more");
  return number;
}

bool parse_flag(element value, const std::string& field) {
  bool flag = false;
  if (value.get(flag) != simdjson::SUCCESS) throw bad_field(field, "is neither true nor false");
  return flag;
}

float checked_score(double score) {
  const auto parsed = static_cast<float>(score);
  if (!std::isfinite(parsed)) throw bad_field("min_score", "is beyond the range of binary32");
  return parsed;
}

Metric parse_metric_field(std::string_view word) {
  try {
    return parse_metric(word);
  } catch (const Error&) {
    throw bad_field("metric", "is none of cosine, ip and l2");
  }
}

std::string_view text_of(element value, const std::string& field) {
  std::string_view text;
  if (value.get(text) != simdjson::SUCCESS) throw bad_field(field, "is not a string");
  return text;
}

void parse_member(std::string_view key, element value, std::uint64_t columns, const Limits& limits,
                  SearchRequest& request) {
  if (key == "vectors") {
    request.vectors = parse_vectors(value, columns, limits);
  } else if (key == "vectors_base64") {
    request.vectors = parse_base64(value, columns, limits);
  } else if (key == "ids") {
    request.ids = parse_ids(value, "ids", "batch_queries", limits.batch_queries);
    check_queries(request.ids.size(), "ids", limits);
  } else if (key == "exclude_ids") {
    request.exclude_ids = parse_ids(value, "exclude_ids", "excluded_ids", limits.excluded_ids);
  } else if (key == "k") {
    request.top_k = parse_count(value, "k");
  } else if (key == "metric") {
    request.metric = parse_metric_field(text_of(value, "metric"));
  } else if (key == "min_score") {
    double score = 0.0;
    if (value.get(score) != simdjson::SUCCESS) throw bad_field("min_score", "is not a number");
    request.min_score = checked_score(score);
  } else if (key == "exclude_self") {
    request.exclude_self = parse_flag(value, "exclude_self");
  } else if (key == "include_vectors") {
    request.include_vectors = parse_flag(value, "include_vectors");
  } else if (key == "timeout_ms") {
    request.timeout_ms = parse_count(value, "timeout_ms");
  } else {
    throw bad_field(std::string(key), "is no field of a search; see /docs");
  }
}

// What the fields say together.
void check(SearchRequest& request, int sources, std::uint64_t columns, const Limits& limits) {
  if (sources != 1) throw bad_field("vectors", "give exactly one of vectors, vectors_base64 and ids");
  if (request.top_k == 0) throw bad_field("k", "is 0; give at least 1");
  if (request.top_k > limits.top_k) throw over_limit("top_k", limits.top_k, "k", "is " + std::to_string(request.top_k));
  if (request.timeout_ms > limits.largest_timeout_ms)
    throw over_limit("largest_timeout_ms", limits.largest_timeout_ms, "timeout_ms",
                     "is " + std::to_string(request.timeout_ms));
  if (request.timeout_ms == 0) request.timeout_ms = limits.default_timeout_ms;
  // As text: a neighbour's numbers, a vector's components.
  const std::uint64_t neighbour_bytes = 80 + (request.include_vectors ? columns * 12 : 0);
  if (request.queries(columns) * request.top_k * neighbour_bytes > limits.answer_bytes)
    throw over_limit("answer_bytes", limits.answer_bytes, "k",
                     "asks for an answer that is too long; ask for fewer neighbours, fewer queries, or no vectors");
}

template <typename T>
T parse_text_number(const std::string& name, const std::string& text) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) throw bad_field(name, "is not a number that fits");
  return value;
}

bool parse_text_flag(const std::string& name, const std::string& text) {
  if (text != "true" && text != "false") throw bad_field(name, "is neither true nor false");
  return text == "true";
}

void parse_parameter(const std::string& name, const std::string& text, SearchRequest& request) {
  if (name == "k")
    request.top_k = parse_text_number<std::uint64_t>(name, text);
  else if (name == "metric")
    request.metric = parse_metric_field(text);
  else if (name == "min_score")
    request.min_score = checked_score(parse_text_number<double>(name, text));
  else if (name == "include_vectors")
    request.include_vectors = parse_text_flag(name, text);
  else if (name == "timeout_ms")
    request.timeout_ms = parse_text_number<std::uint64_t>(name, text);
  else
    throw bad_field(name, "is no parameter of a search with a binary body; see /docs");
}

}  // namespace

struct SearchRequestParser::Json {
  simdjson::dom::parser parser;

  element parse(std::string_view body, const Limits& limits) {
    if (parser.max_depth() != limits.json_depth &&
        parser.allocate(parser.capacity(), static_cast<std::size_t>(limits.json_depth)) != simdjson::SUCCESS)
      throw std::bad_alloc();
    element root;
    const simdjson::error_code error = parser.parse(body.data(), body.size()).get(root);
    if (error == simdjson::DEPTH_ERROR)
      throw over_limit("json_depth", limits.json_depth, "body", "is nested too deeply");
    if (error != simdjson::SUCCESS)
      throw bad_field("body", std::string("is not JSON: ") + simdjson::error_message(error));
    return root;
  }
};

SearchRequestParser::SearchRequestParser() : json_(std::make_unique<Json>()) {}
SearchRequestParser::SearchRequestParser(SearchRequestParser&&) noexcept = default;
SearchRequestParser::~SearchRequestParser() = default;

std::variant<SearchRequest, Problem> SearchRequestParser::parse_json(std::string_view body, std::uint64_t columns,
                                                                     const Limits& limits) {
  try {
    simdjson::dom::object members;
    if (json_->parse(body, limits).get(members) != simdjson::SUCCESS) throw bad_field("body", "is not a JSON object");
    SearchRequest request;
    std::vector<std::string_view> seen;
    int sources = 0;
    for (const auto& [key, value] : members) {
      if (std::find(seen.begin(), seen.end(), key) != seen.end()) throw bad_field(std::string(key), "is given twice");
      seen.push_back(key);
      parse_member(key, value, columns, limits, request);
      sources += key == "vectors" || key == "vectors_base64" || key == "ids";
    }
    check(request, sources, columns, limits);
    return request;
  } catch (Problem& problem) {
    return std::move(problem);
  }
}

std::variant<SearchRequest, Problem> SearchRequestParser::parse_binary(std::string_view body, std::string_view query,
                                                                       std::uint64_t columns, const Limits& limits) {
  try {
    SearchRequest request;
    request.vectors = parse_floats(std::as_bytes(std::span(body)), "body", columns, limits);
    const auto parameters = parse_query(query);
    if (!parameters) throw bad_field("", "the target's query is not percent-encoded as it should be");
    for (const auto& [name, text] : *parameters) parse_parameter(name, text, request);
    check(request, 1, columns, limits);
    return request;
  } catch (Problem& problem) {
    return std::move(problem);
  }
}

}  // namespace simtile::tools::serve
