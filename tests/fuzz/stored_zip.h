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
    archive_.append("PK\3\4\x14\0", 6).append(common).append(name).append(bytes);
    directory_.append("PK\1\2\x14\0\x14\0", 8).append(common).append(10, '\0');
    append_number<std::uint32_t>(directory_, at);
    directory_.append(name);
    ++members_;
  }
  std::string finish() const {
    std::string file = archive_ + directory_;
    file.append("PK\5\6\0\0\0\0", 8);
    append_number<std::uint16_t>(file, members_);
    append_number<std::uint16_t>(file, members_);
    append_number<std::uint32_t>(file, directory_.size());
    append_number<std::uint32_t>(file, archive_.size());
    return file.append(2, '\0');
  }

 private:
  template <typename T>
  static void append_number(std::string& out, std::size_t value) {
    const T narrow = static_cast<T>(value);
    out.append(reinterpret_cast<const char*>(&narrow), sizeof narrow);
  }
  // From the flags to the length of the extra field, the same in both headers.
  static std::string fields(std::string_view name, std::string_view bytes) {
    std::string out(8, '\0');
    out.reserve(24);
    append_number<std::uint32_t>(out, crc32_of(bytes));
    append_number<std::uint32_t>(out, bytes.size());
    append_number<std::uint32_t>(out, bytes.size());
    append_number<std::uint16_t>(out, name.size());
    append_number<std::uint16_t>(out, 0);
    return out;
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
