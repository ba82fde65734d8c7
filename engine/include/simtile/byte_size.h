// Sizes as people write them: "512MiB", "2GiB", "1GB", bare bytes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace simtile {

// Parses a whole or decimal number with an optional unit: B, KB, MB, GB, TB (powers of 1000), KiB, MiB, GiB, TiB
// (powers of 1024), letters in any case. Throws Error(kInvalidArgument) on anything else and on overflow.
std::uint64_t parse_byte_size(std::string_view text);

// Formats bytes with the largest binary unit that keeps the figure at or above one: "48.0 MiB", "513 B".
std::string format_byte_size(std::uint64_t bytes);

}  // namespace simtile
