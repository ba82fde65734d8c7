// How far a job has come and how fast it goes, in words.
//
// Threads: safe. Errors: none.
#pragma once

#include <optional>
#include <string>

#include "simtile/job.h"

namespace simtile::tools {

// "1.2 Mrow/s", "850.0 krow/s", "12.3 row/s".
std::string format_rate(double rows_per_second);
// "00:03:20"; hours may have more than two digits.
std::string format_duration(double seconds);
// "progress 50000/500000 rows (10.0%) 1.2 Mrow/s eta 00:03:20". Nothing until this process has done some work, because
// before that it knows no rate. The first rows of a self-join cost the most, so time is judged by pairs, not by rows.
std::optional<std::string> format_progress(const JobProgress& progress);

}  // namespace simtile::tools
