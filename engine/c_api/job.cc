// The C ABI's main job: join and search over files.
#include "simtile/job.h"

#include "engine/c_api/guarded.h"
#include "engine/c_api/stop.h"

namespace simtile::c_api {
namespace {

simtile_job_options default_job_options() {
  simtile_job_options options{};
  options.size = sizeof options;
  options.top_k = 10;
  options.metric = SIMTILE_COSINE;
  options.checkpoint_seconds = JobOptions{}.checkpoint_seconds;
  return options;
}

JobOptions job_options_of(const simtile_job_options& given) {
  require(given.metric >= SIMTILE_COSINE && given.metric <= SIMTILE_L2,
          "a metric that is none of SIMTILE_COSINE, SIMTILE_INNER_PRODUCT and SIMTILE_L2");
  require(given.isa <= SIMTILE_ISA_AVX512, "an instruction set that is none of SIMTILE_ISA_...");
  require(given.screen <= SIMTILE_SCREEN_OFF, "a screen use that is none of SIMTILE_SCREEN_...");
  JobOptions options;
  options.top_k = given.top_k;
  options.metric = static_cast<Metric>(given.metric);
  if (given.has_min_score != 0) options.min_score = given.min_score;
  options.budget_bytes = given.budget_bytes;
  options.threads = given.threads;
  options.isa = static_cast<Isa>(given.isa);
  options.screen = static_cast<ScreenUse>(given.screen);
  options.work_dir = text_or_empty(given.work_dir);
  options.fresh = given.fresh != 0;
  options.checkpoint_seconds = given.checkpoint_seconds;
  return options;
}

void fill_report(const JobReport& done, simtile_job_report* report) {
  if (report == nullptr) return;
  simtile_job_report value{};
  value.query_rows = done.plan.query_rows;
  value.base_rows = done.plan.base_rows;
  value.columns = done.plan.dims;
  value.pairs_total = done.plan.pairs_total;
  value.pairs_scored = done.pairs_scored;
  value.bytes_read = done.bytes_read;
  value.bytes_spilled = done.bytes_spilled;
  value.budget_bytes = done.plan.budget_bytes;
  value.smallest_budget_bytes = done.plan.smallest_budget_bytes;
  value.peak_rss_bytes = done.peak_rss_bytes;
  value.tiles_total = done.plan.tiles_total;
  value.tiles_resumed = done.tiles_resumed;
  value.output_xxh3 = done.output_xxh3;
  value.seconds = done.seconds;
  value.flops = done.flops;
  fill(report, value);
}

void run(const JobInput& input, const char* output_path, const simtile_job_options* options,
         simtile_job_report* report) {
  const simtile_job_options given = options_of(options, default_job_options());
  JobOptions job = job_options_of(given);
  simtile_stop own_stop;
  simtile_stop* const stop = given.stop != nullptr ? given.stop : &own_stop;
  job.stop = &stop->requested;
  if (given.progress != nullptr)
    job.progress = [&given, stop](const JobProgress& progress) {
      simtile_progress now{};
      now.size = sizeof now;
      now.rows_done = progress.rows_done;
      now.rows_total = progress.rows_total;
      now.seconds = progress.seconds;
      now.fraction_done = progress.fraction_done;
      now.fraction_resumed = progress.fraction_resumed;
      if (given.progress(&now, given.progress_context) != 0) simtile_stop_request(stop);
    };
  fill_report(run_job(input, output_path, job), report);
}

}  // namespace
}  // namespace simtile::c_api

using namespace simtile::c_api;

void simtile_job_options_init(simtile_job_options* options, size_t size) { init(options, size, default_job_options()); }

simtile_status simtile_join(const char* matrix_path, const char* neighbours_path, const simtile_job_options* options,
                            simtile_job_report* report) {
  return guarded([&] {
    require(matrix_path != nullptr && neighbours_path != nullptr, "simtile_join: a path is NULL");
    run({matrix_path, ""}, neighbours_path, options, report);
  });
}

simtile_status simtile_search(const char* base_path, const char* queries_path, const char* neighbours_path,
                              const simtile_job_options* options, simtile_job_report* report) {
  return guarded([&] {
    require(base_path != nullptr && queries_path != nullptr && neighbours_path != nullptr,
            "simtile_search: a path is NULL");
    run({base_path, queries_path}, neighbours_path, options, report);
  });
}
