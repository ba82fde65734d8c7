// The options that join, search and plan share.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "simtile/job.h"
#include "tools/options.h"
#include "tools/progress.h"

namespace simtile::tools {

struct JobArguments {
  JobInput input;
  std::vector<std::string> fields;        // NAME=FILE[:WEIGHT]
  std::vector<std::string> query_fields;  // NAME=FILE
  std::string output_path;
  std::string report_path;
  ProgressStyle progress = ProgressStyle::kAuto;
  Resources resources;
  JobOptions options;
};

void add_job_options(CLI::App& app, JobArguments* arguments);

// --query-field too, where the verb can be a search.
void add_field_options(CLI::App& app, JobArguments* arguments, bool with_queries);

// The options with the resources filled in.
JobOptions job_options(const JobArguments& arguments);
// The input with the fields filled in. Throws Error(kInvalidArgument) for matrices and fields that do not go together.
JobInput job_input(const JobArguments& arguments);
// Every file that the job reads.
std::vector<std::string> input_paths(const JobInput& input);

}  // namespace simtile::tools
