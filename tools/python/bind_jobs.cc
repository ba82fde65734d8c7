// The main job, plans and screens.
#include <pybind11/stl.h>

#include <algorithm>

#include "engine/memory/process_memory.h"
#include "simtile/error.h"
#include "simtile/job.h"
#include "simtile/screen.h"
#include "tools/python/bindings.h"
#include "tools/python/watched.h"

namespace py = pybind11;

namespace simtile::python {
namespace {

// Half of what the process may still take, on top of what it holds: a Python process often holds the array that the
// matrix was made from.
std::uint64_t default_budget() {
  const std::uint64_t held = read_process_memory().rss_bytes;
  const std::uint64_t limit = cgroup_memory_limit_bytes();
  return held + std::min(limit > held ? limit - held : 0, available_memory_bytes()) / 2;
}

// Python's own words for a value that does not fit name neither the option nor the value.
template <typename T>
T option(const py::dict& given, const char* name) {
  const py::object value = given[name];
  try {
    return value.cast<T>();
  } catch (const py::cast_error&) {
    throw Error(ErrorCode::kInvalidArgument, std::string(name) + " cannot be " + py::repr(value).cast<std::string>() +
                                                 "; help(simtile.join) says what it may be");
  }
}

JobOptions job_options(const py::dict& given) {
  JobOptions options;
  options.top_k = option<std::uint64_t>(given, "top_k");
  options.metric = parse_metric(option<std::string>(given, "metric"));
  options.min_score = option<std::optional<float>>(given, "min_score");
  options.budget_bytes = option<std::uint64_t>(given, "budget_bytes");
  if (options.budget_bytes == 0) options.budget_bytes = default_budget();
  options.threads = option<std::uint32_t>(given, "threads");
  options.isa = parse_isa(option<std::string>(given, "isa"));
  options.screen = parse_screen_use(option<std::string>(given, "screen"));
  options.work_dir = option<std::string>(given, "work_dir");
  options.fresh = option<bool>(given, "fresh");
  options.checkpoint_seconds = option<double>(given, "checkpoint_seconds");
  return options;
}

py::dict facts_of(const JobPlan& plan) {
  py::dict facts;
  facts["query_rows"] = plan.query_rows;
  facts["rows"] = plan.base_rows;
  facts["dims"] = plan.dims;
  facts["top_k"] = plan.top_k;
  facts["metric"] = std::string(to_string(plan.metric));
  facts["threads"] = plan.threads;
  facts["isa"] = std::string(to_string(plan.isa));
  facts["budget_bytes"] = plan.budget_bytes;
  facts["smallest_budget_bytes"] = plan.smallest_budget_bytes;
  facts["planned_peak_bytes"] = plan.planned_peak_bytes;
  facts["tiles_total"] = plan.tiles_total;
  facts["pairs_total"] = plan.pairs_total;
  facts["flops"] = plan.flops;
  facts["spills"] = plan.spills;
  facts["screened"] = plan.screened;
  return facts;
}

py::dict facts_of(const JobReport& report) {
  py::dict facts = facts_of(report.plan);
  facts["seconds"] = report.seconds;
  facts["peak_rss_bytes"] = report.peak_rss_bytes;
  facts["pairs_scored"] = report.pairs_scored;
  facts["flops"] = report.flops;
  facts["bytes_read"] = report.bytes_read;
  facts["bytes_spilled"] = report.bytes_spilled;
  facts["screened"] = report.screened;
  facts["tiles_resumed"] = report.tiles_resumed;
  facts["output_xxh3"] = report.output_xxh3;
  return facts;
}

py::dict run(const std::string& base, const std::string& queries, const std::string& output, const py::dict& given,
             const py::object& progress) {
  JobOptions options = job_options(given);
  Watched watched(progress);
  options.stop = watched.stop();
  options.progress = [&watched](const JobProgress& now) { watched.report(now); };
  JobReport report;
  watched.run([&] { report = run_job({base, queries}, output, options); });
  return facts_of(report);
}

py::dict plan(const std::string& base, const std::string& queries, const py::dict& given) {
  const JobOptions options = job_options(given);
  JobPlan found;
  {
    const py::gil_scoped_release unlocked;
    found = plan_job({base, queries}, options);
  }
  return facts_of(found);
}

void screen(const std::string& matrix, const std::string& output, std::uint64_t budget_bytes, std::uint32_t threads) {
  Watched watched(py::none{});
  const ScreenOptions options{.output_path = output,
                              .budget_bytes = budget_bytes != 0 ? budget_bytes : default_budget(),
                              .threads = threads,
                              .stop = watched.stop()};
  watched.run([&] { build_screen(matrix, options); });
}

}  // namespace

void bind_jobs(py::module_& module) {
  module.def("run_job", run, py::arg("base"), py::arg("queries"), py::arg("output"), py::arg("options"),
             py::arg("progress"));
  module.def("plan_job", plan, py::arg("base"), py::arg("queries"), py::arg("options"));
  module.def("build_screen", screen, py::arg("matrix"), py::arg("output"), py::arg("budget_bytes"), py::arg("threads"));
}

}  // namespace simtile::python
