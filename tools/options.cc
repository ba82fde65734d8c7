#include "tools/options.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

#include "engine/base/checked.h"
#include "simtile/byte_size.h"
#include "simtile/error.h"

namespace simtile::tools {
namespace {

constexpr std::uint64_t kMostThreads = 1024;

[[noreturn]] void refuse(const std::string& text, const std::string& what) {
  throw Error(ErrorCode::kInvalidArgument, "'" + text + "' is not " + what);
}

template <typename T>
bool parse_whole(const std::string& text, T* value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *value);
  return error == std::errc{} && end == text.data() + text.size();
}

}  // namespace

CLI::Option* add_parsed(CLI::App& app, const std::string& name, const std::string& type, const std::string& description,
                        std::function<void(const std::string&)> parse) {
  const auto checked = [name, parse = std::move(parse)](const std::string& text) {
    try {
      parse(text);
    } catch (const Error& error) {
      throw CLI::ValidationError(name, error.what());
    }
  };
  return app.add_option_function<std::string>(name, checked, description)->type_name(type);
}

CLI::Option* add_count(CLI::App& app, const std::string& name, std::uint64_t* value, std::uint64_t least,
                       const std::string& description) {
  return add_parsed(app, name, "N", description, [value, least](const std::string& text) {
    if (!parse_whole(text, value) || *value < least)
      refuse(text, "a whole number of at least " + std::to_string(least));
  });
}

double parse_finite(const std::string& text) {
  double value = 0.0;
  if (!parse_whole(text, &value) || !std::isfinite(value)) refuse(text, "a finite number");
  return value;
}

CLI::Option* add_number(CLI::App& app, const std::string& name, double* value, double least,
                        const std::string& description) {
  return add_parsed(app, name, "X", description, [value, least](const std::string& text) {
    *value = parse_finite(text);
    if (*value < least) refuse(text, "a number of at least " + std::to_string(least));
  });
}

void add_resources(CLI::App& app, Resources* resources) {
  add_parsed(app, "--budget", "SIZE",
             "Most memory that the whole process may use: 512MiB, 2GiB, 1GB or bare bytes (default: half of what the "
             "process may use)",
             [resources](const std::string& text) {
               // Nothing at all is a budget too, and too small a one; in the options 0 means "not given".
               resources->budget_bytes = std::max<std::uint64_t>(1, parse_byte_size(text));
             })
      ->envname("SIMTILE_BUDGET");
  add_parsed(
      app, "--threads", "T", "Threads to work with (default: one for each processor the process may use)",
      [resources](const std::string& text) {
        if (!parse_whole(text, &resources->threads) || resources->threads < 1 || resources->threads > kMostThreads)
          refuse(text, "a whole number of threads from 1 to " + std::to_string(kMostThreads));
      })
      ->envname("SIMTILE_THREADS");
}

void check_streaming_budget(const Resources& resources, std::uint64_t extra_bytes) {
  const std::uint64_t smallest =
      std::max(kStreamingBudgetBytes,
               checked_add(kStreamingBytes, extra_bytes, ErrorCode::kBudgetTooSmall, "the smallest budget"));
  if (resources.budget_bytes == 0 || resources.budget_bytes >= smallest) return;
  throw Error(ErrorCode::kBudgetTooSmall, "the budget of " + format_byte_size(resources.budget_bytes) +
                                              " is too small; the smallest that works is " +
                                              format_byte_size(smallest) + " (--budget " + std::to_string(smallest) +
                                              ")");
}

}  // namespace simtile::tools
