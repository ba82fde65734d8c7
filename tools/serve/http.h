// A request and its answer, without the library that carries them (connection.cc).
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace simtile::tools::serve {

struct HttpRequest {
  std::string method;
  std::string target;  // path and query, percent-encoded as it came
  std::string content_type;
  std::string authorization;
  std::string body;
};

struct HttpResponse {
  unsigned status = 200;
  std::string body;
  std::string_view content_type = "application/json";
  std::string_view allow = {};            // 405: the methods that there are
  std::uint32_t retry_after_seconds = 0;  // 429 and 503
  bool close = false;                     // the connection, once it is written
};

// Called once, on the event loop's thread.
using Respond = std::function<void(HttpResponse)>;

}  // namespace simtile::tools::serve
