// Log lines on standard error: a time, a level, what happened and its facts, as text or as a JSON object.
//
// Threads: may be called from several threads at once; a line is one write.
#pragma once

#include <initializer_list>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>

namespace simtile::tools::serve {

class Log {
 public:
  using Facts = std::initializer_list<std::pair<std::string_view, nlohmann::json>>;

  explicit Log(bool json) : json_(json) {}

  void info(std::string_view event, Facts facts = {}) const noexcept { write("info", event, facts); }
  void warn(std::string_view event, Facts facts = {}) const noexcept { write("warn", event, facts); }
  void error(std::string_view event, Facts facts = {}) const noexcept { write("error", event, facts); }

 private:
  void write(std::string_view level, std::string_view event, Facts facts) const noexcept;
  bool json_;
};

}  // namespace simtile::tools::serve
