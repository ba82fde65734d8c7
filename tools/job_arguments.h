// The options that join, search and plan share.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "simtile/job.h"
#include "tools/options.h"
#include "tools/progress.h"

namespace simtile::tools {

struct JobArguments {
  JobInput input;
  std::string output_path;
  std::string report_path;
  ProgressStyle progress = ProgressStyle::kAuto;
  Resources resources;
  JobOptions options;
};

void add_job_options(CLI::App& app, JobArguments* arguments);

// The options with the resources filled in.
JobOptions job_options(const JobArguments& arguments);

}  // namespace simtile::tools
