// How Python's readers say how a file is to be opened.
#pragma once

#include <string>

#include "simtile/open.h"

namespace simtile::python {

// "fast", "touch" or "full"; throws Error(kInvalidArgument) on any other word.
OpenOptions open_options(const std::string& mode);

}  // namespace simtile::python
