// What `simtile --version` prints.
#pragma once

#include <string>

namespace simtile::tools {

std::string version_text();

}  // namespace simtile::tools
