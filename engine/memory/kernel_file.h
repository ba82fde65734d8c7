// Reads the small text files in which the kernel tells about itself (/proc, /sys).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace simtile {

// An unreadable one reads as empty. The first form keeps the room that the text has.
void read_kernel_file(const char* path, std::string* text);
std::string read_kernel_file(const std::string& path);

// The number behind white space; `otherwise` when there is none.
std::uint64_t parse_kernel_number(std::string_view text, std::uint64_t otherwise);

// The number behind "key" at the start of a line, or 0.
std::uint64_t kernel_field(std::string_view text, std::string_view key);

}  // namespace simtile
