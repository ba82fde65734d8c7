// Eight readers open a matrix again and again while a writer replaces it: each sees one version whole, never an older
// one than before, and keeps the one that it has open.
//
// SIMTILE_REPLACEMENTS says how many versions there are (default: 300, under a sanitizer 100; docs/reliability.md has
// figures of 10,000).
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <thread>

#include "simtile/matrix.h"
#include "tests/test_files.h"

namespace simtile::tests {
namespace {

constexpr std::uint64_t kRows = 40, kColumns = 512;  // more than one block
constexpr int kReaders = 8;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr std::uint64_t kReplacements = 100;
#else
constexpr std::uint64_t kReplacements = 300;
#endif

std::uint64_t replacements() {
  const char* wanted = std::getenv("SIMTILE_REPLACEMENTS");
  return wanted != nullptr ? std::strtoull(wanted, nullptr, 10) : kReplacements;
}

// Every element of a version is its generation.
void write_generation(const std::string& path, std::uint64_t generation) {
  storage::MatrixWriterOptions options;
  options.columns = kColumns;
  storage::MatrixWriter writer(path, options);
  writer.append_rows(std::vector<float>(kRows * kColumns, static_cast<float>(generation)));
  writer.finish();
}

// The generation of an open matrix, or -1 when it is of more than one.
float generation_of(const Matrix& matrix) {
  std::vector<float> values(matrix.columns());
  float generation = -1.0f;
  for (std::uint64_t row = 0; row < matrix.rows(); ++row) {
    matrix.read_row(row, values);
    if (row == 0) generation = values[0];
    for (const float value : values)
      if (value != generation) return -1.0f;
  }
  return generation;
}

struct Seen {
  std::uint64_t opened = 0, versions = 0, torn = 0, went_back = 0, errors = 0;
};

Seen read_until(const std::string& path, const std::atomic<bool>& stop) {
  Seen seen;
  float latest = 0.0f;
  while (!stop) {
    try {
      const Matrix matrix(path);
      const float generation = generation_of(matrix);
      // By now there may be a newer file of that name: this one is still whole.
      seen.torn += generation < 0.0f || generation_of(matrix) != generation;
      seen.went_back += generation < latest;
      seen.versions += generation != latest;
      latest = generation;
      ++seen.opened;
    } catch (const std::exception&) {
      ++seen.errors;
    }
  }
  return seen;
}

TEST(Replace, EightReadersSeeOneWholeVersionAtATimeAndNoneGoesBack) {
  const TempFolder folder;
  const std::string path = folder / "a.emb";
  write_generation(path, 1);
  std::atomic<bool> stop{false};
  std::vector<Seen> seen(kReaders);
  std::vector<std::thread> readers;
  for (Seen& each : seen) readers.emplace_back([&] { each = read_until(path, stop); });
  for (std::uint64_t generation = 2; generation <= replacements() + 1; ++generation) write_generation(path, generation);
  stop = true;
  for (std::thread& reader : readers) reader.join();
  std::uint64_t opened = 0;
  for (const Seen& each : seen) {
    EXPECT_EQ(each.torn, 0u);
    EXPECT_EQ(each.went_back, 0u);
    EXPECT_EQ(each.errors, 0u);
    EXPECT_GT(each.versions, 1u) << "this reader saw nothing change";
    opened += each.opened;
  }
  RecordProperty("replacements", std::to_string(replacements()));
  RecordProperty("opened", std::to_string(opened));
}

// Somebody clears away what looks like leftovers, and another writer begins under the same name.
TEST(Replace, ATemporaryThatIsNoLongerTheWritersIsNotPublished) {
  const TempFolder folder;
  const std::string path = folder / "a.emb", partial = path + ".partial";
  write_generation(path, 1);
  const std::string older = read_bytes(path);
  for (const bool another_begins : {false, true}) {
    storage::MatrixWriterOptions options;
    options.columns = kColumns;
    storage::MatrixWriter writer(path, options);
    writer.append_rows(std::vector<float>(kRows * kColumns, 2.0f));
    std::filesystem::remove(partial);
    if (another_begins) write_bytes(partial, "another's");
    expect_error(ErrorCode::kIo, [&] { writer.finish(); });
    EXPECT_TRUE(read_bytes(path) == older);
    EXPECT_EQ(std::filesystem::exists(partial), another_begins);
  }
  EXPECT_EQ(read_bytes(partial), "another's");
}

TEST(Replace, ALinkInThePlaceOfTheTemporaryIsNotFollowed) {
  const TempFolder folder;
  write_bytes(folder / "precious", "precious");
  std::filesystem::create_symlink(folder / "precious", folder / "a.emb.partial");
  expect_error(ErrorCode::kIo, [&] { write_generation(folder / "a.emb", 1); });
  EXPECT_EQ(read_bytes(folder / "precious"), "precious");
  EXPECT_FALSE(std::filesystem::exists(folder / "a.emb"));
}

}  // namespace
}  // namespace simtile::tests
