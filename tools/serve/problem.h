// What is wrong with a request, or with the moment it came at: an HTTP status and a JSON body that names the field or
// the limit.
#pragma once

#include <cstdint>
#include <string>

#include "tools/serve/http.h"

namespace simtile::tools::serve {

struct Problem {
  unsigned status = 400;
  const char* code = "bad_request";
  std::string message;
  std::string field = {};  // of the request; empty: none in particular
  const char* limit = nullptr;
  std::uint64_t limit_value = 0;
  std::uint32_t retry_after_seconds = 0;
};

// The constructors' names say the status.
Problem bad_field(std::string field, std::string message);                                           // 400
Problem not_found(std::string message);                                                              // 404
Problem over_limit(const char* limit, std::uint64_t value, std::string field, std::string message);  // 413
Problem too_busy(const char* limit, std::uint64_t value, std::string message);                       // 429
Problem unavailable(const char* code, std::string message);                                          // 503

HttpResponse to_response(const Problem& problem);

}  // namespace simtile::tools::serve
