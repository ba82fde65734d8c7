// The table of foreign formats, and which of them a file is in.
#pragma once

#include <array>
#include <string>
#include <string_view>

#include "engine/formats/sources.h"

namespace simtile::formats {

struct Format {
  std::string_view name;                       // the word for ImportOptions::format
  std::array<std::string_view, 3> extensions;  // lower case, with the dot; unused ones are empty
  std::string_view magic;                      // what such a file starts with; empty when it could be anything
  OpenSource* open = nullptr;
  bool has_datasets = false;  // ImportOptions::dataset makes sense
};

// The format of that name; Error(kInvalidArgument) when there is none.
const Format& find_format(std::string_view name);

// Goes by the file's extension, then by its first bytes; Error(kCorrupt) when neither tells.
const Format& detect_format(const std::string& path);

}  // namespace simtile::formats
