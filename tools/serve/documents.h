// The pages that are part of the program: tools/serve/openapi.json and tools/serve/docs.html, put in by CMake.
#pragma once

#include <string_view>

namespace simtile::tools::serve {

std::string_view openapi_json();
std::string_view docs_html();

}  // namespace simtile::tools::serve
