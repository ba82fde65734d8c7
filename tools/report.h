// The job report: one flat JSON object, the same keys whatever the job (docs/cli.md, "The job report").
#pragma once

#include <string>

#include "simtile/job.h"

namespace simtile::tools {

// `command` is "join" or "search". Reads the process's peak memory as it is now: call it last.
std::string report_json(const std::string& command, const JobReport& report);

// A hash as every report prints it: 16 hexadecimal digits.
std::string format_hash(std::uint64_t hash);

}  // namespace simtile::tools
