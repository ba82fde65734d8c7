#include "tools/serve/log.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <unistd.h>

#include <chrono>

#include "tools/output.h"

namespace simtile::tools::serve {
namespace {

std::string time_of_now() {
  const auto now = std::chrono::system_clock::now();
  const auto milliseconds = std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch()) % 1000;
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z", fmt::gmtime(std::chrono::system_clock::to_time_t(now)),
                     milliseconds.count());
}

std::string dump(const nlohmann::ordered_json& value) {
  return value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace

// A line that cannot be made is a line less: logging never fails a request.
void Log::write(std::string_view level, std::string_view event, Facts facts) const noexcept try {
  if (json_) {
    nlohmann::ordered_json line{{"time", time_of_now()}, {"level", level}, {"pid", ::getpid()}, {"event", event}};
    for (const auto& [key, value] : facts) line[std::string(key)] = value;
    print_to_stderr(dump(line) + "\n");
    return;
  }
  std::string line = fmt::format("{} {:5} [{}] {}", time_of_now(), level, ::getpid(), event);
  for (const auto& [key, value] : facts) line += fmt::format(" {}={}", key, dump(value));
  print_to_stderr(line + "\n");
} catch (...) {
}

}  // namespace simtile::tools::serve
