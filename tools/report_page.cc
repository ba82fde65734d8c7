#include "tools/report_page.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "simtile/byte_size.h"
#include "simtile/error.h"
#include "tools/svg_chart.h"

namespace simtile::tools {
namespace {

using nlohmann::json;

constexpr char kStyle[] = R"(
:root { --ink: #1c2430; --soft: #5c6675; --line: #d9dee6; --paper: #ffffff; --card: #f5f7fa; --one: #3b6fb5;
        --two: #9fc1ea; --warn: #c0392b; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e8ee; --soft: #9aa5b4; --line: #38414e; --paper: #14181e; --card: #1d232b; --one: #6ea0e0;
          --two: #35567f; --warn: #ff7b6b; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 0 auto;
       max-width: 60rem; padding: 1.5rem; }
h1 { font-size: 1.5rem; margin: 0 0 .25rem; } h2 { font-size: 1.1rem; margin: 2rem 0 .25rem; }
p { margin: .25rem 0; color: var(--soft); }
dl { display: grid; grid-template-columns: repeat(auto-fill, minmax(11rem, 1fr)); gap: .6rem; margin: 1rem 0; }
dl div { background: var(--card); border-radius: .4rem; padding: .5rem .75rem; }
dt { color: var(--soft); font-size: .8rem; } dd { margin: 0; font-size: 1.1rem; font-variant-numeric: tabular-nums; }
svg { width: 100%; height: auto; display: block; } svg text { font: 12px system-ui, sans-serif; fill: var(--soft); }
.grid { stroke: var(--line); } .nothing { fill: var(--card); } .bar { fill: var(--one); }
polygon.one, .legend .one { fill: var(--one); background: var(--one); }
polygon.two, .legend .two { fill: var(--two); background: var(--two); }
polyline.one { fill: none; stroke: var(--one); stroke-width: 2; }
line.limit { stroke: var(--warn); stroke-width: 2; stroke-dasharray: 6 4; } .legend .limit { background: var(--warn); }
.legend span { margin-right: 1.2rem; } .legend i { display: inline-block; width: .8rem; height: .8rem;
  border-radius: .15rem; margin-right: .4rem; }
)";

std::string bytes_text(double value) { return format_byte_size(static_cast<std::uint64_t>(value)); }
std::string plain_number(double value) { return fmt::format("{:.3g}", value); }
std::string tile_seconds(double value) { return fmt::format("{:.3g} ms", 1e3 * value); }

// 1,234,567
std::string grouped(std::uint64_t value) {
  std::string text = std::to_string(value);
  for (auto at = static_cast<std::ptrdiff_t>(text.size()) - 3; at > 0; at -= 3)
    text.insert(static_cast<std::size_t>(at), 1, ',');
  return text;
}

std::string card(const std::string& name, const std::string& value) {
  return "<div><dt>" + escape_html(name) + "</dt><dd>" + escape_html(value) + "</dd></div>";
}

std::string section(const std::string& title, const std::string& what, const std::string& picture) {
  return "<section><h2>" + escape_html(title) + "</h2><p>" + escape_html(what) + "</p>" + picture + "</section>\n";
}

std::string cards(const json& report) {
  const auto seconds = report.at("seconds").get<double>();
  const auto count = [&](const char* key) { return grouped(report.at(key).get<std::uint64_t>()); };
  const auto size = [&](const char* key) { return format_byte_size(report.at(key).get<std::uint64_t>()); };
  return "<dl>" + card("query rows", count("query_rows")) + card("base rows", count("rows")) +
         card("dimensions", count("dims")) + card("neighbours a row", count("top_k")) +
         card("time", fmt::format("{:.2f} s", seconds)) +
         card("arithmetic",
              fmt::format("{:.1f} GFLOP/s", seconds > 0.0 ? report.at("flops").get<double>() / seconds / 1e9 : 0.0)) +
         card("threads", count("threads") + ", " + report.at("isa").get<std::string>()) +
         card("peak memory", size("peak_rss_bytes")) + card("budget", size("budget_bytes")) +
         card("bytes read", size("bytes_read")) + card("bytes spilled", size("bytes_spilled")) +
         card("tiles (resumed)", count("tiles_total") + " (" + count("tiles_resumed") + ")") + "</dl>\n";
}

std::string heat_map_section(const json& report) {
  HeatMap map{.rows = report.at("map_rows"),
              .columns = report.at("map_columns"),
              .row_name = "query rows",
              .column_name = "base rows",
              .format = tile_seconds};
  const auto seconds = report.at("map_seconds").get<std::vector<double>>();
  const auto tiles = report.at("map_tiles").get<std::vector<std::uint32_t>>();
  if (map.rows == 0 || map.columns == 0 || map.rows > seconds.size() || map.columns != seconds.size() / map.rows ||
      seconds.size() % map.rows != 0 || tiles.size() != seconds.size())
    throw Error(ErrorCode::kCorrupt, "its map of tiles does not have the size that it names");
  for (std::size_t i = 0; i < seconds.size(); ++i) map.values.push_back(tiles[i] == 0 ? -1.0 : seconds[i] / tiles[i]);
  return section("Time of a tile",
                 "Mean time that a worker took for a tile. A self-join scores each pair once, so it has one half; rows "
                 "that an earlier run had done are empty.",
                 draw(map));
}

// How many workers were scoring, on average since the sample before: the slope of the time they have spent.
std::vector<double> workers_busy(const std::vector<double>& seconds, const std::vector<double>& scoring,
                                 double threads) {
  std::vector<double> busy;
  for (std::size_t i = 0; i < seconds.size(); ++i) {
    const double elapsed = seconds[i] - (i == 0 ? 0.0 : seconds[i - 1]);
    const double worked = scoring[i] - (i == 0 ? 0.0 : scoring[i - 1]);
    busy.push_back(elapsed > 0.0 ? std::min(threads, worked / elapsed) : 0.0);
  }
  return busy;
}

std::string memory_section(const json& report, const std::vector<double>& seconds) {
  const auto budget = report.at("budget_bytes").get<double>();
  const auto peak = report.at("peak_rss_bytes").get<double>();
  LineChart chart{.seconds = seconds,
                  .layers = {{"anonymous (heap, buffers)", "one", report.at("series_rss_anon_bytes")},
                             {"file pages (mapped input, code)", "two", report.at("series_rss_file_bytes")}},
                  .limit_name = "budget",
                  .unit_base = 1024.0,
                  .format = bytes_text};
  const bool near = budget <= 4.0 * peak;  // a budget far above would press the curves flat
  if (near) chart.limit = budget;
  return section("Memory against the budget",
                 fmt::format("Resident memory of the whole process; its peak was {}, {:.0f}% of the budget of {}{}.",
                             bytes_text(peak), 100.0 * peak / budget, bytes_text(budget),
                             near ? "" : ", which lies above this picture"),
                 draw(chart));
}

std::string bytes_section(const json& report, const std::vector<double>& seconds) {
  const auto ideal = report.at("input_bytes").get<double>();
  const auto read = report.at("bytes_read").get<double>();
  return section("Bytes read against the ideal",
                 fmt::format("Loaded from the input so far (disk or page cache); reading everything once is {}, and "
                             "this run read {:.2f} times as much.",
                             bytes_text(ideal), ideal > 0.0 ? read / ideal : 0.0),
                 draw(LineChart{.seconds = seconds,
                                .lines = {{"bytes read", "one", report.at("series_bytes_read")}},
                                .limit = ideal,
                                .limit_name = "everything once",
                                .unit_base = 1024.0,
                                .format = bytes_text}));
}

std::string screen_section(const json& report) {
  const auto scored = report.at("pairs_scored").get<std::uint64_t>();
  if (!report.at("screened").get<bool>())
    return section("Screening survivors",
                   "This job did not bound pairs first: all " + grouped(scored) + " were scored by the definition.",
                   "");
  const auto pairs = [&](const char* key) { return report.at(key).get<std::uint64_t>(); };
  const auto bar = [&](const std::string& name, std::uint64_t value) {
    return Bar{name, static_cast<double>(value),
               fmt::format("{} ({:.3g}%)", grouped(value),
                           scored > 0 ? 100.0 * static_cast<double>(value) / static_cast<double>(scored) : 0.0)};
  };
  return section(
      "Screening survivors",
      "Pairs that each stage let through to the next, on a logarithmic axis; the last were scored by the definition.",
      draw_bars({bar("pairs", scored),
                 bar("left by whole tiles", scored - std::min(scored, pairs("pairs_dropped_by_tile"))),
                 bar(fmt::format("left by {} coordinates", pairs("screen_first_dims")), pairs("pairs_left_first")),
                 bar(fmt::format("left by {} more", pairs("screen_next_dims")), pairs("pairs_left_next")),
                 bar("scored by the definition", pairs("pairs_by_definition"))}));
}

std::string page_of(const json& report) {
  if (report.at("schema") != "simtile.report.v1")
    throw Error(ErrorCode::kCorrupt, "its schema is not simtile.report.v1");
  const std::vector<double> seconds = report.at("series_seconds");
  for (const char* key : {"series_fraction_done", "series_seconds_scoring", "series_rss_anon_bytes",
                          "series_rss_file_bytes", "series_bytes_read"})
    if (report.at(key).size() != seconds.size())
      throw Error(ErrorCode::kCorrupt, std::string("its ") + key + " is not as long as series_seconds");
  const auto threads = report.at("threads").get<double>();
  const std::string title = "simtile " + report.at("command").get<std::string>() + ", " +
                            report.at("metric").get<std::string>() + ", " +
                            grouped(report.at("query_rows").get<std::uint64_t>()) + " rows";
  std::string page =
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><meta name=\"viewport\" "
      "content=\"width=device-width, initial-scale=1\">\n<title>" +
      escape_html(title) + "</title><style>" + kStyle + "</style></head>\n<body>\n<h1>" + escape_html(title) +
      "</h1>\n<p>simtile " + escape_html(report.at("version").get<std::string>()) + ", answer " +
      escape_html(report.at("output_xxh3").get<std::string>()) + "</p>\n" + cards(report);
  page += heat_map_section(report);
  page += section(
      "Workers over time",
      fmt::format("How many of the threads were scoring tiles; making the screen and first thresholds took {:.2f} s "
                  "before the first.",
                  report.at("seconds_screen").get<double>()),
      draw(LineChart{
          .seconds = seconds,
          .layers = {{"workers scoring", "one", workers_busy(seconds, report.at("series_seconds_scoring"), threads)}},
          .top = threads,
          .format = plain_number}));
  page += memory_section(report, seconds);
  page += bytes_section(report, seconds);
  page += screen_section(report);
  return page + "</body>\n</html>\n";
}

}  // namespace

std::string report_page(const std::string& text, const std::string& name) {
  try {
    return page_of(json::parse(text));
  } catch (const json::exception& error) {
    throw Error(ErrorCode::kCorrupt,
                "'" + name + "' is not a job report (" + error.what() + "); give what --report wrote");
  } catch (const Error& error) {
    throw Error(error.code(), "'" + name + "' is not a job report: " + error.what() + "; give what --report wrote");
  }
}

}  // namespace simtile::tools
