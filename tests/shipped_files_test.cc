// The files in data/golden and data/hostile: made again here, compared byte for byte, and read as a user would read
// them. data/README.md lists them; UPDATE_GOLDEN=1 shipped_files_test writes them anew.
#include <gtest/gtest.h>
#include <xxhash.h>

#include <cstdlib>
#include <cstring>
#include <functional>

#include "engine/storage/container_layout.h"
#include "engine/storage/matrix_layout.h"
#include "engine/storage/neighbours_layout.h"
#include "simtile/matrix.h"
#include "simtile/neighbours.h"
#include "simtile/verify.h"
#include "tests/test_files.h"

namespace simtile::tests {
namespace {

using storage::ContainerHeader;

const std::string kData = SIMTILE_SOURCE_DIR "/data/";

ContainerHeader header_of(const std::string& bytes) {
  ContainerHeader header;
  std::memcpy(&header, bytes.data(), sizeof header);
  return header;
}

// Puts a changed header back, with a hash that fits it: damage that no checksum shows.
std::string with_header(std::string bytes, const std::function<void(ContainerHeader&)>& change) {
  ContainerHeader header = header_of(bytes);
  change(header);
  header.header_xxh3 = XXH3_64bits(&header, offsetof(ContainerHeader, header_xxh3));
  std::memcpy(bytes.data(), &header, sizeof header);
  return bytes;
}

std::string with_matrix_body(const std::string& bytes, const std::function<void(storage::MatrixBody&)>& change) {
  return with_header(bytes, [&](ContainerHeader& header) {
    storage::MatrixBody body;
    std::memcpy(&body, header.body, sizeof body);
    change(body);
    std::memcpy(header.body, &body, sizeof body);
  });
}

struct ShippedFile {
  std::string path;  // below data/
  std::string bytes;
  std::string refusal;  // a part of the message that refuses it; empty for golden files
};

std::vector<ShippedFile> make_all() {
  const TempFolder folder;
  write_dense(folder / "tiny.emb", 3, 4, ElementType::kF32, storage::IdKind::kString);
  write_neighbours(folder / "tiny.knn", folder / "tiny.emb", "", 2);
  const std::string emb = read_bytes(folder / "tiny.emb");
  const std::string knn = read_bytes(folder / "tiny.knn");
  std::string flipped = emb;
  flipped[4096 + 17] = static_cast<char>(flipped[4096 + 17] ^ 4);
  std::string foreign = emb;
  foreign.replace(0, 8, "\x93NUMPY\x01\0", 8);
  return {
      {"golden/tiny.knn", knn, ""},
      {"hostile/cut_short.emb", emb.substr(0, emb.size() - 1), "cut short"},
      {"hostile/cut_in_header.emb", emb.substr(0, 100), "fewer than a header"},
      {"hostile/foreign_magic.emb", foreign, "wrong magic"},
      {"hostile/newer_version.emb", with_header(emb, [](auto& h) { h.format_version = 2; }), "format version 2"},
      {"hostile/damaged_payload.emb", flipped, "block 0"},
      {"hostile/rows_overflow.emb", with_matrix_body(emb, [](auto& b) { b.rows = std::uint64_t{1} << 60; }),
       "overflows"},
      {"hostile/no_rows.emb", with_matrix_body(emb, [](auto& b) { b.rows = 0; }), "0 rows"},
      {"hostile/false_columns.emb", with_matrix_body(emb, [](auto& b) { b.columns = 40; }), "bytes apart"},
      {"hostile/section_beyond_end.emb", with_header(emb, [](auto& h) { h.sections[1].bytes = UINT64_MAX; }),
       "leaves the file"},
      {"hostile/cut_short.knn", knn.substr(0, knn.size() - 8), "cut short"},
  };
}

TEST(ShippedFiles, AreWhatTheRecipeMakes) {
  for (const ShippedFile& file : make_all()) {
    if (std::getenv("UPDATE_GOLDEN") != nullptr) {
      std::filesystem::create_directories(std::filesystem::path(kData + file.path).parent_path());
      write_bytes(kData + file.path, file.bytes);
    }
    EXPECT_TRUE(read_bytes(kData + file.path) == file.bytes) << file.path;
  }
}

TEST(ShippedFiles, HostileOnesAreRefusedAndSayWhy) {
  for (const ShippedFile& file : make_all()) {
    if (file.refusal.empty()) continue;
    const std::string message = expect_error(ErrorCode::kCorrupt, [&] {
      verify_file(kData + file.path);
      if (file.path.ends_with(".emb")) Matrix(kData + file.path).id(0);
      if (file.path.ends_with(".knn")) Neighbours(kData + file.path).row(0);
    });
    EXPECT_NE(message.find(file.refusal), std::string::npos) << file.path << ": " << message;
  }
}

TEST(ShippedFiles, GoldenNeighboursRead) {
  const Neighbours neighbours(kData + "golden/tiny.knn");
  EXPECT_EQ(neighbours.info().rows, 3u);
  EXPECT_EQ(neighbours.row(0).size(), 2u);
  EXPECT_EQ(neighbours.find("id-2"), 2u);
}

}  // namespace
}  // namespace simtile::tests
