// How the readers of foreign formats say that a file is not what it should be.
#pragma once

#include <string>

#include "simtile/error.h"

namespace simtile::formats {

[[noreturn]] inline void refuse(const std::string& name, const std::string& why) {
  throw Error(ErrorCode::kCorrupt, "'" + name + "' " + why);
}

}  // namespace simtile::formats
