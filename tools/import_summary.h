// What import and generate say when they are done.
#pragma once

#include <string>

#include "simtile/import.h"

namespace simtile::tools {

// One line: "a.emb: 1000 rows x 64 columns of f32, no ids, from npy, 259.1 KiB".
std::string summarize(const ImportSummary& imported, const std::string& path);

}  // namespace simtile::tools
