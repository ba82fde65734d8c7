// The raw formats: .fbin and its kin, .fvecs and its kin.
#include <gmock/gmock.h>

#include "tests/import_files.h"

namespace simtile {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using tests::bytes_of;
using tests::import_bytes;
using tests::Imported;
using tests::refuse_bytes;
using tests::row_of;
using tests::TempFolder;

std::string bin(std::uint32_t rows, std::uint32_t columns, const std::string& payload) {
  return bytes_of<std::uint32_t>({rows, columns}) + payload;
}

template <typename T>
std::string vec(const std::vector<T>& values) {
  return bytes_of(static_cast<std::int32_t>(values.size())) + bytes_of(values);
}

TEST(ImportBin, ReadsEveryElementType) {
  const TempFolder folder;
  const Imported f32 = import_bytes(folder, "a.fbin", bin(2, 2, bytes_of<float>({1, -2.5f, 3, 4})));
  EXPECT_EQ(f32.summary.format, "fbin");
  EXPECT_EQ(f32.summary.element_type, ElementType::kF32);
  EXPECT_THAT(row_of(f32.matrix, 0), ElementsAre(1, -2.5f));
  EXPECT_THAT(row_of(f32.matrix, 1), ElementsAre(3, 4));

  const Imported f16 = import_bytes(folder, "a.f16bin", bin(1, 2, bytes_of<std::uint16_t>({0x3c00, 0xc100})));
  EXPECT_EQ(f16.summary.element_type, ElementType::kF16);
  EXPECT_THAT(row_of(f16.matrix, 0), ElementsAre(1, -2.5f));

  const Imported u8 = import_bytes(folder, "a.u8bin", bin(1, 2, bytes_of<std::uint8_t>({0, 255})));
  EXPECT_EQ(u8.summary.element_type, ElementType::kU8);
  EXPECT_THAT(row_of(u8.matrix, 0), ElementsAre(0, 255));

  const Imported i8 = import_bytes(folder, "a.i8bin", bin(1, 2, bytes_of<std::int8_t>({-128, 127})));
  EXPECT_EQ(i8.summary.element_type, ElementType::kI8);
  EXPECT_THAT(row_of(i8.matrix, 0), ElementsAre(-128, 127)) << "integers are kept, with scale 1";
}

TEST(ImportBin, RefusesWhatItsHeaderDoesNotBearOut) {
  const TempFolder folder;
  const std::string payload = bytes_of<float>({1, 2, 3, 4});
  tests::expect_all_prefixes_refused(folder, "a.fbin", bin(2, 2, payload));
  EXPECT_THAT(refuse_bytes(folder, "a.fbin", bin(2, 2, payload + "x")), HasSubstr("17 bytes"));
  EXPECT_THAT(refuse_bytes(folder, "a.fbin", bin(0xffffffffu, 0xffffffffu, payload)), HasSubstr("columns"));
  EXPECT_THAT(refuse_bytes(folder, "a.fbin", bin(0xffffffffu, 0xffffffu, payload)), HasSubstr("bytes"));
  EXPECT_THAT(refuse_bytes(folder, "a.fbin", bin(0, 2, "")), HasSubstr("0 rows"));
  EXPECT_THAT(refuse_bytes(folder, "a.fbin", bin(2, 0, "")), HasSubstr("0 columns"));
}

TEST(ImportVecs, ReadsEveryElementType) {
  const TempFolder folder;
  const Imported f = import_bytes(folder, "a.fvecs", vec<float>({1, 2, 3}) + vec<float>({4, 5, 6}));
  EXPECT_EQ(f.summary.element_type, ElementType::kF32);
  EXPECT_THAT(row_of(f.matrix, 0), ElementsAre(1, 2, 3));
  EXPECT_THAT(row_of(f.matrix, 1), ElementsAre(4, 5, 6));
  const Imported b = import_bytes(folder, "a.bvecs", vec<std::uint8_t>({1, 255}) + vec<std::uint8_t>({0, 7}));
  EXPECT_EQ(b.summary.element_type, ElementType::kU8);
  EXPECT_THAT(row_of(b.matrix, 1), ElementsAre(0, 7));
  const Imported i = import_bytes(folder, "a.ivecs", vec<std::int32_t>({-1, 70000}));
  EXPECT_EQ(i.summary.element_type, ElementType::kF32);
  EXPECT_THAT(row_of(i.matrix, 0), ElementsAre(-1, 70000));
}

TEST(ImportVecs, ReadsMoreRowsThanABatch) {
  const TempFolder folder;
  constexpr std::uint64_t kRows = 3000, kColumns = 301;
  std::string file;
  for (std::uint64_t row = 0; row < kRows; ++row) {
    std::vector<float> values(kColumns);
    for (std::uint64_t c = 0; c < kColumns; ++c) values[c] = tests::dense_value(row, c);
    file += vec(values);
  }
  const Imported imported = import_bytes(folder, "a.fvecs", file);
  ASSERT_EQ(imported.summary.rows, kRows);
  for (std::uint64_t row = 0; row < kRows; ++row) {
    const std::vector<float> values = row_of(imported.matrix, row);
    for (std::uint64_t c = 0; c < kColumns; ++c) ASSERT_EQ(values[c], tests::dense_value(row, c)) << row << "," << c;
  }
}

// 256 rows of 1,024 values are a batch.
TEST(ImportVecs, EndsNearTheEndOfABatch) {
  const TempFolder folder;
  const std::string row = vec(std::vector<float>(1024, 1.0f));
  for (const std::uint64_t rows : {255u, 256u, 257u, 512u}) {
    SCOPED_TRACE(rows);
    std::string file;
    for (std::uint64_t r = 0; r < rows; ++r) file += row;
    EXPECT_EQ(import_bytes(folder, "a.fvecs", file).summary.rows, rows);
    for (const std::size_t more : {std::size_t{1}, std::size_t{5}, row.size() - 1})
      EXPECT_THAT(refuse_bytes(folder, "a.fvecs", file + row.substr(0, more)),
                  AllOf(HasSubstr("row " + std::to_string(rows)), HasSubstr("cut short")));
  }
}

TEST(ImportVecs, NamesTheRowWhoseDimensionDiffers) {
  const TempFolder folder;
  const std::string good = vec<float>({1, 2}) + vec<float>({3, 4});
  EXPECT_THAT(refuse_bytes(folder, "a.fvecs", good + vec<float>({5, 6, 7})),
              AllOf(HasSubstr("row 2"), HasSubstr("offset 24"), HasSubstr("dimension 3"), HasSubstr("has 2")));
  EXPECT_THAT(refuse_bytes(folder, "a.fvecs", good + vec<float>({5})),
              AllOf(HasSubstr("row 2"), HasSubstr("offset 24"), HasSubstr("dimension 1")));
  // Two rows of one value each have the size of a row and a bit.
  EXPECT_THAT(refuse_bytes(folder, "a.fvecs", vec<float>({1, 2}) + vec<float>({5}) + vec<float>({6}) + vec<float>({7})),
              AllOf(HasSubstr("row 1"), HasSubstr("offset 12"), HasSubstr("dimension 1")));
}

TEST(ImportVecs, RefusesWhatCannotBe) {
  const TempFolder folder;
  EXPECT_THAT(refuse_bytes(folder, "a.fvecs", bytes_of<std::int32_t>({-3, 0, 0})), HasSubstr("dimension -3"));
  EXPECT_THAT(refuse_bytes(folder, "a.fvecs", bytes_of<std::int32_t>({0, 0, 0})), HasSubstr("dimension 0"));
  EXPECT_THAT(refuse_bytes(folder, "a.fvecs", bytes_of<std::int32_t>({0x7fffffff, 0, 0})), HasSubstr("2147483647"));
  EXPECT_THAT(refuse_bytes(folder, "a.fvecs", bytes_of<std::int32_t>({1000000, 0, 0})), HasSubstr("cut short"));
}

// A prefix that ends with a row is a shorter file of that kind; every other one is refused.
TEST(ImportVecs, TakesPrefixesOfWholeRowsAlone) {
  const TempFolder folder;
  const std::string good = vec<float>({1, 2}) + vec<float>({3, 4}) + vec<float>({5, 6});
  for (std::size_t length = 0; length < good.size(); ++length) {
    SCOPED_TRACE(length);
    if (length > 0 && length % 12 == 0)
      EXPECT_EQ(import_bytes(folder, "a.fvecs", good.substr(0, length)).summary.rows, length / 12);
    else
      refuse_bytes(folder, "a.fvecs", good.substr(0, length));
  }
}

}  // namespace
}  // namespace simtile
