// The options that join, search, plan and merge share.
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

// What defines the answer, where it goes, and what may be used to get it.
void add_answer_options(CLI::App& app, JobArguments* arguments);
// These, and how the work is done.
void add_job_options(CLI::App& app, JobArguments* arguments);

// --query-field too, where the verb can be a search.
void add_field_options(CLI::App& app, JobArguments* arguments, bool with_queries);

// For verbs that take the arguments of a join or a search: the words `[join|search] BASE [QUERIES]`, which may be left
// out where there are fields.
void add_job_words(CLI::App& app, std::vector<std::string>* words);
// The verb may be left out: one matrix, or fields without queries, is a join, two or fields with queries are a search.
// `verb`: who asks, for the error.
JobInput input_of(std::vector<std::string> words, const JobArguments& arguments, const std::string& verb);

// The options with the resources filled in.
JobOptions job_options(const JobArguments& arguments);
// The input with the fields filled in. Throws Error(kInvalidArgument) for matrices and fields that do not go together.
JobInput job_input(const JobArguments& arguments);
// Every file that the job reads, or would where it exists: a matrix's screen file.
std::vector<std::string> input_paths(const JobInput& input);

}  // namespace simtile::tools
