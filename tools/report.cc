#include "tools/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "engine/memory/process_memory.h"
#include "tools/describe.h"

namespace simtile::tools {

std::string format_hash(std::uint64_t hash) { return fmt::format("{:016x}", hash); }

namespace {

using Sample = RunSeries::Sample;

template <typename Value>
nlohmann::ordered_json column(const std::vector<Sample>& samples, Value Sample::*field) {
  auto values = nlohmann::ordered_json::array();
  for (const Sample& sample : samples) values.push_back(sample.*field);
  return values;
}

// Times to the microsecond: more digits only make the file longer.
double rounded(double seconds) { return std::round(seconds * 1e6) / 1e6; }

void add_series(RunSeries series, nlohmann::ordered_json* json) {
  for (Sample& sample : series.samples) {
    sample.seconds = rounded(sample.seconds);
    sample.fraction_done = rounded(sample.fraction_done);
    sample.seconds_scoring = rounded(sample.seconds_scoring);
  }
  for (double& seconds : series.map_seconds) seconds = rounded(seconds);
  (*json)["series_seconds"] = column(series.samples, &Sample::seconds);
  (*json)["series_fraction_done"] = column(series.samples, &Sample::fraction_done);
  (*json)["series_seconds_scoring"] = column(series.samples, &Sample::seconds_scoring);
  (*json)["series_rss_anon_bytes"] = column(series.samples, &Sample::rss_anon_bytes);
  (*json)["series_rss_file_bytes"] = column(series.samples, &Sample::rss_file_bytes);
  (*json)["series_bytes_read"] = column(series.samples, &Sample::bytes_read);
  (*json)["map_rows"] = series.map_rows;
  (*json)["map_columns"] = series.map_columns;
  (*json)["map_seconds"] = series.map_seconds;
  (*json)["map_tiles"] = series.map_tiles;
}

// Arrays of numbers on one line each.
std::string pretty(const nlohmann::ordered_json& object) {
  std::string text = "{";
  for (const auto& [key, value] : object.items())
    text += (text.size() > 1 ? ",\n  " : "\n  ") + nlohmann::json(key).dump() + ": " + value.dump();
  return text + "\n}\n";
}

}  // namespace

std::string shard_text(const std::optional<Shard>& shard) {
  return shard ? fmt::format("{}/{}", shard->number, shard->count) : "1/1";
}

std::string report_json(const std::string& command, const JobReport& report) {
  const JobPlan& plan = report.plan;
  nlohmann::ordered_json json{
      {"schema", "simtile.report.v1"},
      {"version", SIMTILE_VERSION},
      {"command", command},
      {"rows", plan.base_rows},
      {"query_rows", plan.query_rows},
      {"dims", plan.dims},
      {"sparse", plan.sparse},
      {"fields", describe_fields(plan.fields)},
      {"renormalized", plan.renormalize},
      {"metric", to_string(plan.metric)},
      {"top_k", plan.top_k},
      {"all_pairs", plan.all_pairs},
      {"threads", plan.threads},
      {"isa", to_string(plan.isa)},
      {"budget_bytes", plan.budget_bytes},
      {"smallest_budget_bytes", plan.smallest_budget_bytes},
      {"planned_peak_bytes", plan.planned_peak_bytes},
      {"peak_rss_bytes", 0},
      {"peak_rss_anon_bytes", report.peak_rss_anon_bytes},
      {"peak_rss_file_bytes", report.peak_rss_file_bytes},
      {"seconds", report.seconds},
      {"seconds_compute", report.seconds_compute},
      {"seconds_io_wait", report.seconds_io_wait},
      {"seconds_merge", report.seconds_merge},
      {"pairs_total", plan.pairs_total},
      {"pairs_scored", report.pairs_scored},
      {"flops", report.flops},
      {"candidates", report.candidates},
      {"screened", report.screened},
      {"first_look_isa", plan.first_look_isa},
      {"screen_isa", plan.screen_isa},
      {"screen_first_dims", plan.screen_first_dims},
      {"screen_next_dims", plan.screen_next_dims},
      {"pairs_dropped_by_tile", report.pairs_dropped_by_tile},
      {"pairs_left_first", report.pairs_left_first},
      {"pairs_left_next", report.pairs_left_next},
      {"pairs_by_definition", report.pairs_by_definition},
      {"sample_rows", plan.sample_rows},
      {"rows_searched_again", report.rows_searched_again},
      {"seconds_screen", report.seconds_screen},
      {"bytes_read", report.bytes_read},
      {"input_bytes", report.input_bytes},
      {"stripes_while_short", report.stripes_while_short},
      {"bytes_from_storage", report.bytes_from_storage},
      {"bytes_to_storage", report.bytes_to_storage},
      {"bytes_spilled", report.bytes_spilled},
      {"bytes_checkpointed", report.bytes_checkpointed},
      {"shard", shard_text(plan.shard)},
      {"stripe_rows", plan.stripe_rows},
      {"tile_columns", plan.tile_columns},
      {"stripes_total", plan.stripes_total},
      {"tiles_total", plan.tiles_total},
      {"tiles_resumed", report.tiles_resumed},
      {"output_bytes", plan.output_bytes},
      {"output_xxh3", format_hash(report.output_xxh3)},
  };
  add_series(report.series, &json);
  json["peak_rss_bytes"] = std::max(report.peak_rss_bytes, read_process_memory().peak_rss_bytes);
  return pretty(json);
}

}  // namespace simtile::tools
