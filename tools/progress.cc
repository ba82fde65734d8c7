#include "tools/progress.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <string_view>
#include <utility>

#include "tools/output.h"
#include "tools/progress_text.h"

namespace simtile::tools {
namespace {

constexpr std::array<std::pair<std::string_view, ProgressStyle>, 4> kStyles{{{"auto", ProgressStyle::kAuto},
                                                                             {"bar", ProgressStyle::kBar},
                                                                             {"plain", ProgressStyle::kPlain},
                                                                             {"none", ProgressStyle::kNone}}};
constexpr std::chrono::milliseconds kBarPeriod{200};
constexpr std::chrono::seconds kPlainPeriod{2};
constexpr std::size_t kBarCells = 30;

bool is_set(const char* variable) {
  const char* value = std::getenv(variable);
  return value != nullptr && *value != '\0';
}

bool on_capable_terminal() {
  const char* terminal = std::getenv("TERM");
  return ::isatty(STDERR_FILENO) == 1 && !(terminal != nullptr && std::string_view(terminal) == "dumb");
}

std::size_t terminal_columns() {
  winsize size{};
  return ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

}  // namespace

void add_progress(CLI::App& app, ProgressStyle* style) {
  app.add_option_function<std::string>(
         "--progress",
         [style](const std::string& word) {
           const auto* found =
               std::find_if(kStyles.begin(), kStyles.end(), [&](const auto& entry) { return entry.first == word; });
           if (found == kStyles.end())
             throw CLI::ValidationError("--progress", "'" + word + "' is not one of auto, bar, plain, none");
           *style = found->second;
         },
         "Progress on standard error: auto, bar, plain or none (default: auto, a bar on a terminal, plain lines "
         "elsewhere)")
      ->type_name("auto|bar|plain|none");
}

ProgressPrinter::ProgressPrinter(ProgressStyle style) : style_(style), colors_(!is_set("NO_COLOR")) {
  if (style == ProgressStyle::kAuto) style_ = on_capable_terminal() ? ProgressStyle::kBar : ProgressStyle::kPlain;
}

ProgressPrinter::~ProgressPrinter() { clear(); }

void ProgressPrinter::update(const JobProgress& progress) {
  if (style_ == ProgressStyle::kNone || at_end_) return;
  const Clock::time_point now = Clock::now();
  at_end_ = progress.rows_total != 0 && progress.rows_done == progress.rows_total;
  const auto period = style_ == ProgressStyle::kBar ? kBarPeriod : std::chrono::milliseconds(kPlainPeriod);
  if (!at_end_ && now - last_shown_.value_or(start_) < period) return;
  const std::optional<std::string> text = format_progress(progress);
  if (!text) return;
  last_shown_ = now;
  if (style_ == ProgressStyle::kBar)
    show_bar(text->substr(std::string_view("progress ").size()), progress.fraction_done);
  else
    print_to_stderr(*text + "\n");
}

void ProgressPrinter::update(std::uint64_t rows_done, std::uint64_t rows_total) {
  const double seconds = std::chrono::duration<double>(Clock::now() - start_).count();
  if (rows_total != 0)
    return update({rows_done, rows_total, seconds, static_cast<double>(rows_done) / static_cast<double>(rows_total)});
  if (style_ == ProgressStyle::kNone || Clock::now() - last_shown_.value_or(start_) < kPlainPeriod) return;
  last_shown_ = Clock::now();
  const std::string text = fmt::format("{} rows {}", rows_done, format_rate(static_cast<double>(rows_done) / seconds));
  if (style_ == ProgressStyle::kBar)
    show_bar(text, 0.0);
  else
    print_to_stderr("progress " + text + "\n");
}

void ProgressPrinter::show_bar(const std::string& text, double fraction) {
  const std::size_t columns = terminal_columns();
  std::string line;
  if (text.size() + kBarCells + 3 < columns) {
    const auto full = static_cast<std::size_t>(std::clamp(fraction, 0.0, 1.0) * double{kBarCells});
    line = "[" + std::string(colors_ ? "\x1b[36m" : "") + std::string(full, '#') + (colors_ ? "\x1b[0m" : "") +
           std::string(kBarCells - full, '.') + "] ";
  }
  print_to_stderr("\r" + line + text.substr(0, columns - 1) + "\x1b[K");
  bar_shown_ = true;
}

void ProgressPrinter::clear() {
  if (std::exchange(bar_shown_, false)) print_to_stderr("\r\x1b[K");
}

}  // namespace simtile::tools
