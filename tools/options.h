// Options that several verbs share, and the kinds of values that options take. A value that makes no sense is a
// CLI::ValidationError naming the option: wrong usage.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <functional>
#include <string>

#include "simtile/open.h"

namespace simtile::tools {

// `parse` takes the option's text and may throw simtile::Error.
CLI::Option* add_parsed(CLI::App& app, const std::string& name, const std::string& type, const std::string& description,
                        std::function<void(const std::string&)> parse);
// A whole number of at least `least`.
CLI::Option* add_count(CLI::App& app, const std::string& name, std::uint64_t* value, std::uint64_t least,
                       const std::string& description);
// A finite number of at least `least`.
CLI::Option* add_number(CLI::App& app, const std::string& name, double* value, double least,
                        const std::string& description);
double parse_finite(const std::string& text);

struct Resources {
  std::uint64_t budget_bytes = 0;  // 0: not given
  std::uint32_t threads = 0;       // 0: not given
};
void add_resources(CLI::App& app, Resources* resources);

// How they open files.
inline constexpr OpenOptions kStreamed{.access = Access::kStreamed};
// The verbs that stream need so much, code included, and more only for what grows with the input (`extra_bytes`).
inline constexpr std::uint64_t kStreamingBytes = std::uint64_t{16} << 20;
// What they ask for at least, to stay clear of the next library's size.
inline constexpr std::uint64_t kStreamingBudgetBytes = std::uint64_t{32} << 20;
// Throws Error(kBudgetTooSmall) when a budget was given and is below that.
void check_streaming_budget(const Resources& resources, std::uint64_t extra_bytes = 0);

}  // namespace simtile::tools
