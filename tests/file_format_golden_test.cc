// The format's anchor: writes the matrix of data/golden/tiny.emb again and compares every byte, then holds
// docs/file_format.md to it: the hexdump, the offsets in its tables and the numpy example must be true of that file.
//
// A change of the format on purpose: UPDATE_GOLDEN=1 file_format_golden_test rewrites the file and the hexdump; raise
// kFormatVersion with it.
#include <gmock/gmock.h>
#include <stdio.h>

#include <cstdlib>
#include <memory>

#include "simtile/matrix.h"
#include "simtile/verify.h"
#include "tests/test_files.h"

namespace simtile::tests {
namespace {

const std::string kGoldenPath = SIMTILE_SOURCE_DIR "/data/golden/tiny.emb";
const std::string kDocPath = SIMTILE_SOURCE_DIR "/docs/file_format.md";

bool update_golden() { return std::getenv("UPDATE_GOLDEN") != nullptr; }

void write_tiny(const std::string& path) {
  storage::MatrixWriterOptions options;
  options.columns = 4;
  options.id_kind = storage::IdKind::kString;
  options.source_name = "tiny";
  storage::MatrixWriter writer(path, options);
  const std::vector<float> rows = {1, 0, 0, 0, 3, 4, 0, 0, -0.5, 0.25, 0, 1.5};
  writer.append_rows(rows);
  for (const char* id : {"red", "green", "blue"}) writer.append_id(std::string_view(id));
  writer.finish();
}

// As `hexdump -C` prints it: sixteen bytes a line, a star for lines that repeat the one before.
std::string hexdump(const std::string& bytes) {
  std::string dump, before;
  bool starred = false;
  char text[32];
  for (std::size_t at = 0; at < bytes.size(); at += 16) {
    const std::string line = bytes.substr(at, 16);
    if (line == before) {
      if (!starred) dump += "*\n";
      starred = true;
      continue;
    }
    before = line;
    starred = false;
    snprintf(text, sizeof text, "%08zx ", at);
    dump += text;
    std::string letters;
    for (std::size_t i = 0; i < 16; ++i) {
      if (i % 8 == 0) dump += ' ';
      const unsigned char byte = i < line.size() ? static_cast<unsigned char>(line[i]) : 0;
      snprintf(text, sizeof text, "%02x ", byte);
      dump += i < line.size() ? text : "   ";
      if (i < line.size()) letters += byte >= 0x20 && byte < 0x7f ? line[i] : '.';
    }
    dump += " |" + letters + "|\n";
  }
  snprintf(text, sizeof text, "%08zx\n", bytes.size());
  return dump + text;
}

struct Block {
  std::size_t begin, end;  // of the text between the fences
};

// The first block fenced as `kind` in the document.
Block find_block(const std::string& document, const std::string& kind) {
  const std::string fence = "```" + kind + "\n";
  const std::size_t begin = document.find(fence);
  if (begin == std::string::npos) throw std::runtime_error("docs/file_format.md has no block of " + kind);
  return {begin + fence.size(), document.find("```", begin + fence.size())};
}

std::string block_text(const std::string& document, const std::string& kind) {
  const Block block = find_block(document, kind);
  return document.substr(block.begin, block.end - block.begin);
}

std::string output_of(const std::string& command) {
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe(::popen(command.c_str(), "r"), ::pclose);
  std::string output;
  for (char piece[4096]; const std::size_t got = fread(piece, 1, sizeof piece, pipe.get());) output.append(piece, got);
  return output;
}

TEST(FileFormatGolden, TheWriterStillWritesTheSameBytes) {
  const TempFolder folder;
  write_tiny(folder / "tiny.emb");
  if (update_golden()) write_bytes(kGoldenPath, read_bytes(folder / "tiny.emb"));
  EXPECT_TRUE(read_bytes(folder / "tiny.emb") == read_bytes(kGoldenPath))
      << "the format changed: readers of older files need kFormatVersion raised, then UPDATE_GOLDEN=1";
}

TEST(FileFormatGolden, TheReaderStillReadsIt) {
  const Matrix tiny(kGoldenPath);
  std::vector<float> values(4);
  tiny.read_row(2, values);
  EXPECT_THAT(values, testing::ElementsAre(-0.5f, 0.25f, 0.0f, 1.5f));
  EXPECT_EQ(tiny.find("green"), 1u);
  EXPECT_EQ(tiny.id(0), "red");
  EXPECT_EQ(verify_file(kGoldenPath).bytes, read_bytes(kGoldenPath).size());
}

TEST(FileFormatGolden, TheDocumentShowsItsHexdump) {
  const std::string dump = hexdump(read_bytes(kGoldenPath));
  std::string document = read_bytes(kDocPath);
  if (update_golden()) {
    const Block block = find_block(document, "hexdump");
    write_bytes(kDocPath, document.replace(block.begin, block.end - block.begin, dump));
  }
  EXPECT_EQ(block_text(document, "hexdump"), dump);
}

TEST(FileFormatGolden, TheDocumentsNumpyExampleReadsIt) {
  const TempFolder folder;
  const std::string document = read_bytes(kDocPath);
  write_bytes(folder / "read.py", block_text(document, "python"));
  const std::string output =
      output_of("cd '" + folder.path() + "' && cp '" + kGoldenPath + "' tiny.emb && /usr/bin/python3 read.py 2>&1");
  EXPECT_EQ(output, block_text(document, "output"));
}

}  // namespace
}  // namespace simtile::tests
