// The page that shows how a job went: one HTML file that needs nothing else.
#pragma once

#include <string>

namespace simtile::tools {

// `json`: a job report's text; `name` says in messages which. Throws Error(kCorrupt) when it is none.
std::string report_page(const std::string& json, const std::string& name);

}  // namespace simtile::tools
