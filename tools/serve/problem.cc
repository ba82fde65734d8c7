#include "tools/serve/problem.h"

#include <nlohmann/json.hpp>
#include <utility>

namespace simtile::tools::serve {

Problem bad_field(std::string field, std::string message) {
  return {.message = std::move(message), .field = std::move(field)};
}

Problem not_found(std::string message) { return {.status = 404, .code = "not_found", .message = std::move(message)}; }

Problem over_limit(const char* limit, std::uint64_t value, std::string field, std::string message) {
  return {.status = 413,
          .code = "over_limit",
          .message = std::move(message),
          .field = std::move(field),
          .limit = limit,
          .limit_value = value};
}

Problem too_busy(const char* limit, std::uint64_t value, std::string message) {
  return {.status = 429,
          .code = "too_busy",
          .message = std::move(message),
          .limit = limit,
          .limit_value = value,
          .retry_after_seconds = 1};
}

Problem unavailable(const char* code, std::string message) {
  return {.status = 503, .code = code, .message = std::move(message), .retry_after_seconds = 1};
}

HttpResponse to_response(const Problem& problem) {
  nlohmann::ordered_json error{{"code", problem.code}, {"message", problem.message}};
  if (!problem.field.empty()) error["field"] = problem.field;
  if (problem.limit != nullptr) error["limit"] = {{"name", problem.limit}, {"value", problem.limit_value}};
  const nlohmann::ordered_json body{{"error", error}};
  return {.status = problem.status,
          .body = body.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n",
          .retry_after_seconds = problem.retry_after_seconds};
}

}  // namespace simtile::tools::serve
