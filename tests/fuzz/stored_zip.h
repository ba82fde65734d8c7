// A zip archive of whatever the fuzzer wants in it, with right checksums, so that it reaches what reads the members.
#pragma once

#include <array>
#include <string>
#include <string_view>

#include "tests/fuzz/in_memory.h"

namespace simtile::fuzz {

constexpr std::array<std::uint32_t, 256> crc32_table() {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t byte = 0; byte < table.size(); ++byte) {
    std::uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0xedb88320u : 0u);
    table[byte] = crc;
  }
  return table;
}

inline std::uint32_t crc32_of(std::string_view bytes) {
  static constexpr std::array<std::uint32_t, 256> kTable = crc32_table();
  std::uint32_t crc = ~0u;
  for (const char byte : bytes) crc = (crc >> 8) ^ kTable[(crc ^ static_cast<std::uint8_t>(byte)) & 0xff];
  return ~crc;
}

class StoredZip {
 public:
  void add(std::string_view name, std::string_view bytes) {
    const std::size_t at = archive_.size();
    const std::string common = fields(name, bytes);
    archive_ += std::string("PK\3\4\x14\0", 6) + common + std::string(name) + std::string(bytes);
    directory_ += std::string("PK\1\2\x14\0\x14\0", 8) + common + std::string(10, '\0') + number<std::uint32_t>(at) +
                  std::string(name);
    ++members_;
  }
  std::string finish() const {
    return archive_ + directory_ + std::string("PK\5\6\0\0\0\0", 8) + number<std::uint16_t>(members_) +
           number<std::uint16_t>(members_) + number<std::uint32_t>(directory_.size()) +
           number<std::uint32_t>(archive_.size()) + std::string(2, '\0');
  }

 private:
  template <typename T>
  static std::string number(std::size_t value) {
    const T narrow = static_cast<T>(value);
    return {reinterpret_cast<const char*>(&narrow), sizeof narrow};
  }
  // From the flags to the length of the extra field, the same in both headers.
  static std::string fields(std::string_view name, std::string_view bytes) {
    return std::string(8, '\0') + number<std::uint32_t>(crc32_of(bytes)) + number<std::uint32_t>(bytes.size()) +
           number<std::uint32_t>(bytes.size()) + number<std::uint16_t>(name.size()) + number<std::uint16_t>(0);
  }

  std::string archive_, directory_;
  std::size_t members_ = 0;
};

// The input's first byte 0: the rest is the archive, as it is. Else its members follow each other: which name (8 bits),
// how many bytes (16 bits), the bytes.
inline std::string zip_file(Input input) {
  constexpr std::array<std::string_view, 6> kNames{"x.npy",      "data.npy",  "indices.npy",
                                                   "indptr.npy", "shape.npy", "format.npy"};
  const auto as_text = [](std::span<const std::uint8_t> bytes) {
    return std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  };
  if (input.take<std::uint8_t>() == 0) return std::string(as_text(input.rest()));
  StoredZip zip;
  while (!input.empty()) {
    const std::string_view name = kNames[input.take<std::uint8_t>() % kNames.size()];
    const std::size_t bytes = input.take<std::uint16_t>();
    zip.add(name, as_text(input.take_bytes(bytes)));
  }
  return zip.finish();
}

}  // namespace simtile::fuzz
