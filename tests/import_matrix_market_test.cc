// MatrixMarket: entries in any order, symmetry, arrays, and lines that are not what they should be.
#include <gmock/gmock.h>

#include <algorithm>
#include <random>

#include "tests/import_files.h"

namespace simtile {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using tests::import_bytes;
using tests::Imported;
using tests::refuse_bytes;
using tests::row_of;
using tests::TempFolder;

const std::string kBanner = "%%MatrixMarket matrix coordinate real general\n";

TEST(ImportMatrixMarket, ReadsEntriesInAnyOrder) {
  const TempFolder folder;
  const Imported imported = import_bytes(
      folder, "a.mtx", kBanner + "% a comment\n\n3 4 4\n3 2 1e2\n1 4 -2.5\n  1 1   +1\n%another\n3 1 7\r\n");
  EXPECT_EQ(imported.summary.format, "mtx");
  EXPECT_TRUE(imported.summary.sparse);
  EXPECT_EQ(imported.summary.rows, 3u);
  EXPECT_EQ(imported.summary.nonzeros, 4u);
  EXPECT_THAT(row_of(imported.matrix, 0), ElementsAre(1, 0, 0, -2.5f));
  EXPECT_THAT(row_of(imported.matrix, 1), ElementsAre(0, 0, 0, 0));
  EXPECT_THAT(row_of(imported.matrix, 2), ElementsAre(7, 100, 0, 0));
}

TEST(ImportMatrixMarket, ReadsPatternsIntegersAndSymmetry) {
  const TempFolder folder;
  const Imported pattern =
      import_bytes(folder, "a.mtx", "%%matrixmarket MATRIX Coordinate Pattern General\n1 3 2\n1 3\n1 1\n");
  EXPECT_THAT(row_of(pattern.matrix, 0), ElementsAre(1, 0, 1));
  const Imported symmetric =
      import_bytes(folder, "a.mtx", "%%MatrixMarket matrix coordinate integer symmetric\n2 2 2\n1 1 5\n2 1 3\n");
  EXPECT_THAT(row_of(symmetric.matrix, 0), ElementsAre(5, 3));
  EXPECT_THAT(row_of(symmetric.matrix, 1), ElementsAre(3, 0));
  const Imported skew =
      import_bytes(folder, "a.mtx", "%%MatrixMarket matrix coordinate real skew-symmetric\n2 2 1\n2 1 3\n");
  EXPECT_THAT(row_of(skew.matrix, 0), ElementsAre(0, -3));
  EXPECT_THAT(row_of(skew.matrix, 1), ElementsAre(3, 0));
}

// More entries than are sorted in memory at a time.
TEST(ImportMatrixMarket, SortsMoreThanAChunkOfShuffledEntries) {
  const TempFolder folder;
  constexpr std::uint64_t kRows = 1200, kColumns = 500;
  std::vector<std::string> lines;
  for (std::uint64_t row = 0; row < kRows; ++row)
    for (std::uint64_t c = 0; c < kColumns; ++c)
      lines.push_back(std::to_string(row + 1) + " " + std::to_string(c + 1) + " " +
                      std::to_string(row * kColumns + c + 1) + "\n");
  std::shuffle(lines.begin(), lines.end(), std::mt19937_64(1));
  std::string file = kBanner + "1200 500 " + std::to_string(lines.size()) + "\n";
  for (const std::string& line : lines) file += line;
  const Imported imported = import_bytes(folder, "a.mtx", file);
  for (std::uint64_t row = 0; row < kRows; ++row) {
    const std::vector<float> values = row_of(imported.matrix, row);
    for (std::uint64_t c = 0; c < kColumns; ++c)
      ASSERT_EQ(values[c], static_cast<float>(row * kColumns + c + 1)) << row << "," << c;
  }
}

TEST(ImportMatrixMarket, ReadsArraysColumnByColumn) {
  const TempFolder folder;
  const Imported small =
      import_bytes(folder, "a.mtx", "%%MatrixMarket matrix array real general\n2 3\n1\n4\n2\n5\n3\n6\n");
  EXPECT_FALSE(small.summary.sparse);
  EXPECT_THAT(row_of(small.matrix, 0), ElementsAre(1, 2, 3));
  EXPECT_THAT(row_of(small.matrix, 1), ElementsAre(4, 5, 6));
  constexpr std::uint64_t kRows = 4000, kColumns = 90;  // more than a batch
  std::string file = "%%MatrixMarket matrix array integer general\n4000 90\n";
  for (std::uint64_t c = 0; c < kColumns; ++c)
    for (std::uint64_t row = 0; row < kRows; ++row) file += std::to_string(row * kColumns + c) + "\n";
  const Imported large = import_bytes(folder, "a.mtx", file);
  for (std::uint64_t row = 0; row < kRows; ++row) {
    const std::vector<float> values = row_of(large.matrix, row);
    for (std::uint64_t c = 0; c < kColumns; ++c)
      ASSERT_EQ(values[c], static_cast<float>(row * kColumns + c)) << row << "," << c;
  }
}

TEST(ImportMatrixMarket, RefusesByLine) {
  const TempFolder folder;
  const auto refusal = [&](const std::string& bytes) { return refuse_bytes(folder, "a.mtx", bytes); };
  EXPECT_THAT(refusal(kBanner + "2 2 1\n3 1 1\n"), AllOf(HasSubstr("line 3"), HasSubstr("row 3")));
  EXPECT_THAT(refusal(kBanner + "2 2 1\n1 0 1\n"), AllOf(HasSubstr("line 3"), HasSubstr("column 0")));
  EXPECT_THAT(refusal(kBanner + "2 2 1\n1 1\n"), HasSubstr("line 3"));
  EXPECT_THAT(refusal(kBanner + "2 2 1\n1 1 1 1\n"), HasSubstr("line 3"));
  EXPECT_THAT(refusal(kBanner + "2 2 1\n1 1 1e39\n"), HasSubstr("f32"));
  EXPECT_THAT(refusal(kBanner + "2 2 1\n1 1 nan\n"),
              AllOf(HasSubstr("nan"), HasSubstr("row 0"), HasSubstr("column 0")));
  EXPECT_THAT(refusal(kBanner + "2 2 2\n1 1 1\n1 1 2\n"), HasSubstr("more than once"));
  EXPECT_THAT(refusal(kBanner + "2 2 2\n1 1 1\n"), HasSubstr("only 1 entries"));
  EXPECT_THAT(refusal(kBanner + "2 2 1\n1 1 1\n1 2 1\n"), HasSubstr("more than 1 entries"));
  EXPECT_THAT(refusal(kBanner + "2 2\n"), AllOf(HasSubstr("line 2"), HasSubstr("sizes")));
  EXPECT_THAT(refusal(kBanner + "0 2 0\n"), HasSubstr("no rows"));
  EXPECT_THAT(refusal(kBanner + "2 5000000000 0\n"), HasSubstr("4294967295"));
  EXPECT_THAT(refusal(kBanner), HasSubstr("before the line of sizes"));
  EXPECT_THAT(refusal(""), HasSubstr("empty"));
  EXPECT_THAT(refusal("1 2 3\n"), HasSubstr("%%MatrixMarket"));
  EXPECT_THAT(refusal("%%MatrixMarket matrix coordinate complex general\n1 1 0\n"), HasSubstr("'complex'"));
  EXPECT_THAT(refusal("%%MatrixMarket matrix coordinate real hermitian\n1 1 0\n"), HasSubstr("'hermitian'"));
  EXPECT_THAT(refusal("%%MatrixMarket matrix coordinate real symmetric\n2 1 0\n"), HasSubstr("symmetric"));
  EXPECT_THAT(refusal("%%MatrixMarket matrix array real symmetric\n1 1\n1\n"), HasSubstr("general"));
  EXPECT_THAT(refusal("%%MatrixMarket matrix array real general\n4611686018427387904 4\n"), HasSubstr("overflows"));
  EXPECT_THAT(refusal("%%MatrixMarket matrix array real general\n2 1\n1\n"), HasSubstr("only 1"));
  EXPECT_THAT(refusal(kBanner + std::string(100000, '%')), HasSubstr("longer than"));
}

}  // namespace
}  // namespace simtile
