// Base64 (RFC 4648, section 4) to bytes: with its padding, without white space.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>
#include <vector>

namespace simtile::tools::serve {

// Nothing when it is not base64.
std::optional<std::vector<std::byte>> decode_base64(std::string_view text);

}  // namespace simtile::tools::serve
