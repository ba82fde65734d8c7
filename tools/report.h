// The job report: one flat JSON object, the same keys whatever the job (docs/cli.md, "The job report").
#pragma once

#include <optional>
#include <string>

#include "simtile/job.h"

namespace simtile::tools {

// "2/3"; "1/1" where a job is not shared out.
std::string shard_text(const std::optional<Shard>& shard);

// `command` is "join" or "search". Reads the process's peak memory as it is now: call it last.
std::string report_json(const std::string& command, const JobReport& report);

// A hash as every report prints it: 16 hexadecimal digits.
std::string format_hash(std::uint64_t hash);

}  // namespace simtile::tools
