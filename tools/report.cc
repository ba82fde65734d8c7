#include "tools/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "engine/memory/process_memory.h"

namespace simtile::tools {

std::string format_hash(std::uint64_t hash) { return fmt::format("{:016x}", hash); }

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
      {"metric", to_string(plan.metric)},
      {"top_k", plan.top_k},
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
      {"screen_isa", plan.screen_isa},
      {"screen_first_dims", plan.screen_first_dims},
      {"screen_next_dims", plan.screen_next_dims},
      {"pairs_dropped_by_tile", report.pairs_dropped_by_tile},
      {"pairs_left_first", report.pairs_left_first},
      {"pairs_left_next", report.pairs_left_next},
      {"pairs_by_definition", report.pairs_by_definition},
      {"seconds_screen", report.seconds_screen},
      {"bytes_read", report.bytes_read},
      {"bytes_spilled", report.bytes_spilled},
      {"stripe_rows", plan.stripe_rows},
      {"tile_columns", plan.tile_columns},
      {"stripes_total", plan.stripes_total},
      {"tiles_total", plan.tiles_total},
      {"tiles_resumed", report.tiles_resumed},
      {"output_bytes", plan.output_bytes},
      {"output_xxh3", format_hash(report.output_xxh3)},
  };
  json["peak_rss_bytes"] = std::max(report.peak_rss_bytes, read_process_memory().peak_rss_bytes);
  return json.dump(2) + "\n";
}

}  // namespace simtile::tools
