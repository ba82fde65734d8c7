#include "tools/progress_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace simtile::tools {

std::string format_rate(double rows_per_second) {
  if (rows_per_second >= 1e6) return fmt::format("{:.1f} Mrow/s", rows_per_second / 1e6);
  if (rows_per_second >= 1e3) return fmt::format("{:.1f} krow/s", rows_per_second / 1e3);
  return fmt::format("{:.1f} row/s", rows_per_second);
}

std::string format_duration(double seconds) {
  const auto whole = static_cast<std::uint64_t>(std::llround(std::clamp(seconds, 0.0, 1e12)));
  return fmt::format("{:02}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
}

std::optional<std::string> format_progress(const JobProgress& progress) {
  const double share = progress.fraction_done - progress.fraction_resumed;
  if (!(share > 0.0) || !(progress.seconds > 0.0)) return std::nullopt;
  const double rows = share * static_cast<double>(progress.rows_total);
  return fmt::format("progress {}/{} rows ({:.1f}%) {} eta {}", progress.rows_done, progress.rows_total,
                     100.0 * progress.fraction_done, format_rate(rows / progress.seconds),
                     format_duration(progress.seconds * (1.0 - progress.fraction_done) / share));
}

}  // namespace simtile::tools
