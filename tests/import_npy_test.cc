// NumPy arrays: every dtype and header version that is read, and the name of everything that is refused.
#include <gmock/gmock.h>

#include <algorithm>
#include <limits>
#include <span>

#include "tests/import_files.h"

namespace simtile {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using tests::bytes_of;
using tests::Imported;
using tests::npy_bytes;
using tests::row_of;
using tests::TempFolder;

template <typename T>
std::string two_by_three(const std::string& descr, const std::vector<T>& values) {
  return npy_bytes(descr, "(2, 3)", bytes_of(values));
}

void expect_rows(const std::string& file, ElementType natural_type, const std::vector<float>& first,
                 const std::vector<float>& second) {
  const TempFolder folder;
  const Imported imported = tests::import_bytes(folder, "a.npy", file);
  EXPECT_EQ(imported.summary.rows, 2u);
  EXPECT_EQ(imported.summary.columns, 3u);
  EXPECT_EQ(imported.summary.format, "npy");
  EXPECT_EQ(imported.summary.element_type, natural_type);
  EXPECT_FALSE(imported.summary.sparse);
  EXPECT_FALSE(imported.summary.has_ids);
  EXPECT_EQ(imported.matrix.info().element_type, natural_type);
  EXPECT_EQ(row_of(imported.matrix, 0), first);
  EXPECT_EQ(row_of(imported.matrix, 1), second);
}

TEST(ImportNpy, ReadsFloats) {
  expect_rows(two_by_three<float>("<f4", {1, -2.5f, 3, 4, 5, 1e-40f}), ElementType::kF32, {1, -2.5f, 3},
              {4, 5, 1e-40f});
  expect_rows(two_by_three<double>("<f8", {0.1, -2.5, 3, 4, 5, 1e30}), ElementType::kF32, {0.1f, -2.5f, 3},
              {4, 5, 1e30f});
  expect_rows(two_by_three<std::uint16_t>("<f2", {0x3c00, 0xc100, 0x0001, 0x7bff, 0x8000, 0x4200}), ElementType::kF16,
              {1, -2.5f, 0x1p-24f}, {65504, -0.0f, 3});
}

TEST(ImportNpy, ReadsIntegers) {
  expect_rows(two_by_three<std::int8_t>("|i1", {1, -128, 127, 0, -1, 5}), ElementType::kI8, {1, -128, 127}, {0, -1, 5});
  expect_rows(two_by_three<std::uint8_t>("|u1", {1, 255, 0, 7, 8, 9}), ElementType::kU8, {1, 255, 0}, {7, 8, 9});
  expect_rows(two_by_three<std::uint8_t>("|b1", {1, 0, 0, 1, 1, 1}), ElementType::kU8, {1, 0, 0}, {1, 1, 1});
  expect_rows(two_by_three<std::int16_t>("<i2", {1, -300, 0, 7, 8, 9}), ElementType::kF32, {1, -300, 0}, {7, 8, 9});
  expect_rows(two_by_three<std::uint16_t>("<u2", {1, 65535, 0, 7, 8, 9}), ElementType::kF32, {1, 65535, 0}, {7, 8, 9});
  expect_rows(two_by_three<std::int32_t>("<i4", {1, -70000, 0, 7, 8, 9}), ElementType::kF32, {1, -70000, 0}, {7, 8, 9});
  expect_rows(two_by_three<std::uint32_t>("<u4", {1, 70000, 0, 7, 8, 9}), ElementType::kF32, {1, 70000, 0}, {7, 8, 9});
  expect_rows(two_by_three<std::int64_t>("<i8", {1, -70000, 0, 7, 8, 9}), ElementType::kF32, {1, -70000, 0}, {7, 8, 9});
  expect_rows(two_by_three<std::uint64_t>("<u8", {1, 70000, 0, 7, 8, 9}), ElementType::kF32, {1, 70000, 0}, {7, 8, 9});
}

TEST(ImportNpy, ReadsAllHeaderVersions) {
  const std::string payload = bytes_of<float>({1, 2, 3, 4, 5, 6});
  for (const int version : {1, 2, 3})
    expect_rows(npy_bytes("<f4", "(2, 3)", payload, version), ElementType::kF32, {1, 2, 3}, {4, 5, 6});
  expect_rows(npy_bytes("<f4", "(2L, 3L)", payload), ElementType::kF32, {1, 2, 3}, {4, 5, 6});
}

TEST(ImportNpy, ReadsMoreRowsThanABatch) {
  const TempFolder folder;
  constexpr std::uint64_t kRows = 2000, kColumns = 401;
  std::vector<float> values(kRows * kColumns);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i % 65521);
  std::vector<std::uint64_t> progress;
  ImportOptions options;
  options.progress = [&](std::uint64_t done, std::uint64_t total) {
    EXPECT_EQ(total, kRows);
    progress.push_back(done);
  };
  const Imported imported =
      tests::import_bytes(folder, "a.npy", npy_bytes("<f4", "(2000, 401)", bytes_of(values)), options);
  for (std::uint64_t row = 0; row < kRows; ++row)
    ASSERT_TRUE(std::ranges::equal(std::span(values).subspan(row * kColumns, kColumns), row_of(imported.matrix, row)))
        << row;
  EXPECT_GT(progress.size(), 1u);
  EXPECT_EQ(progress.back(), kRows);
}

TEST(ImportNpy, ConvertsToTheElementTypeAskedFor) {
  const TempFolder folder;
  const std::string file = two_by_three<float>("<f4", {1, 2, 3, 4, 5, 6});
  for (const ElementType type : {ElementType::kF16, ElementType::kBF16, ElementType::kU8}) {
    ImportOptions options;
    options.element_type = type;
    const Imported imported = tests::import_bytes(folder, "a.npy", file, options);
    EXPECT_EQ(imported.matrix.info().element_type, type);
    EXPECT_THAT(row_of(imported.matrix, 1), ElementsAre(4, 5, 6));
  }
  ImportOptions u8;
  u8.element_type = ElementType::kU8;
  EXPECT_THAT(tests::refuse_bytes(folder, "a.npy", two_by_three<float>("<f4", {1, 2, 3, 4, 5.5f, 6}), u8),
              AllOf(HasSubstr("row 1"), HasSubstr("column 1"), HasSubstr("u8")));
}

TEST(ImportNpy, NormalizesIntegersToF32) {
  const TempFolder folder;
  ImportOptions options;
  options.normalize = true;
  const Imported imported =
      tests::import_bytes(folder, "a.npy", two_by_three<std::uint8_t>("|u1", {3, 4, 0, 0, 0, 0}), options);
  EXPECT_EQ(imported.summary.element_type, ElementType::kF32);
  EXPECT_THAT(row_of(imported.matrix, 0), ElementsAre(0.6f, 0.8f, 0));
  EXPECT_THAT(row_of(imported.matrix, 1), ElementsAre(0, 0, 0));
}

TEST(ImportNpy, NamesTheRowAndColumnOfABadValue) {
  const TempFolder folder;
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float inf = std::numeric_limits<float>::infinity();
  EXPECT_THAT(tests::refuse_bytes(folder, "a.npy", two_by_three<float>("<f4", {1, 2, 3, 4, nan, 6})),
              AllOf(HasSubstr("nan"), HasSubstr("row 1"), HasSubstr("column 1")));
  EXPECT_THAT(tests::refuse_bytes(folder, "a.npy", two_by_three<float>("<f4", {1, 2, -inf, 4, 5, 6})),
              AllOf(HasSubstr("inf"), HasSubstr("row 0"), HasSubstr("column 2")));
  EXPECT_THAT(tests::refuse_bytes(folder, "a.npy", two_by_three<double>("<f8", {1, 2, 3, 4, 5, 1e39})),
              AllOf(HasSubstr("f32"), HasSubstr("row 1"), HasSubstr("column 2")));
  EXPECT_THAT(tests::refuse_bytes(folder, "a.npy", two_by_three<std::uint16_t>("<f2", {0, 0, 0, 0x7c00, 0, 0})),
              AllOf(HasSubstr("inf"), HasSubstr("row 1"), HasSubstr("column 0")));
}

TEST(ImportNpy, RefusesByName) {
  const TempFolder folder;
  const std::string payload = bytes_of<float>({1, 2, 3, 4, 5, 6});
  const auto refusal = [&](const std::string& bytes) { return tests::refuse_bytes(folder, "a.npy", bytes); };
  EXPECT_THAT(refusal(npy_bytes("<f4", "(2, 3)", payload, 1, "True")), HasSubstr("Fortran order"));
  EXPECT_THAT(refusal(npy_bytes("|O", "(2, 3)", payload)), HasSubstr("object"));
  EXPECT_THAT(refusal(npy_bytes(">f4", "(2, 3)", payload)), HasSubstr("big-endian dtype '>f4'"));
  EXPECT_THAT(refusal(npy_bytes("<c8", "(2, 3)", payload)), HasSubstr("'<c8'"));
  EXPECT_THAT(refusal(npy_bytes("<U5", "(2, 3)", payload)), HasSubstr("'<U5'"));
  EXPECT_THAT(refusal(npy_bytes("<f\n4", "(2, 3)", payload)), HasSubstr("'<f?4'"));
  EXPECT_THAT(refusal(npy_bytes("<f4", "(6,)", payload)), AllOf(HasSubstr("1 dimension"), HasSubstr("reshape")));
  EXPECT_THAT(refusal(npy_bytes("<f4", "()", payload)), HasSubstr("0 dimension"));
  EXPECT_THAT(refusal(npy_bytes("<f4", "(1, 2, 3)", payload)), HasSubstr("3 dimensions"));
  EXPECT_THAT(refusal(npy_bytes("<f4", "(0, 3)", "")), HasSubstr("0 rows"));
  EXPECT_THAT(refusal(npy_bytes("<f4", "(3, 0)", "")), HasSubstr("0 columns"));
}

TEST(ImportNpy, RefusesSizesThatCannotBe) {
  const TempFolder folder;
  const std::string payload = bytes_of<float>({1, 2, 3, 4, 5, 6});
  const auto refusal = [&](const std::string& bytes) { return tests::refuse_bytes(folder, "a.npy", bytes); };
  EXPECT_THAT(refusal(npy_bytes("<f4", "(2, 3)", payload + "x")), AllOf(HasSubstr("25"), HasSubstr("24")));
  EXPECT_THAT(refusal(npy_bytes("<f4", "(4611686018427387904, 4)", payload)), HasSubstr("overflows"));
  EXPECT_THAT(refusal(npy_bytes("<f4", "(1000000000000, 4)", payload)), HasSubstr("16000000000000"));
  EXPECT_THAT(refusal(npy_bytes("<f4", "(1, 99999999999)", payload)), HasSubstr("columns"));
  EXPECT_THAT(refusal(npy_bytes("<f4", "(99999999999999999999, 4)", payload)), HasSubstr("64-bit"));
  EXPECT_THAT(refusal(npy_bytes("<f4", "(-2, 3)", payload)), HasSubstr("header"));
  EXPECT_THAT(refusal(std::string("\x93NUMPY\x02\0\xff\xff\xff\xff{}", 14)), HasSubstr("4294967295"));
  EXPECT_THAT(refusal(std::string("\x93NUMPY\x04\0\x02\0{}", 12)), HasSubstr("version 4"));
  EXPECT_THAT(refusal("something else altogether"), HasSubstr("not a NumPy array"));
}

TEST(ImportNpy, RefusesEveryPrefix) {
  const TempFolder folder;
  tests::expect_all_prefixes_refused(folder, "a.npy", two_by_three<float>("<f4", {1, 2, 3, 4, 5, 6}));
}

// Any byte of the header may be anything: it is read or refused, never worse.
TEST(ImportNpy, SurvivesEveryChangedHeaderByte) {
  const TempFolder folder;
  const std::string good = two_by_three<float>("<f4", {1, 2, 3, 4, 5, 6});
  for (std::size_t at = 0; at < good.size() - 24; ++at)
    for (const char c : {'\0', '[', '9'}) {
      std::string bad = good;
      bad[at] = c;
      tests::write_bytes(folder / "a.npy", bad);
      try {
        const ImportSummary summary = import_matrix(folder / "a.npy", folder / "out.emb", {});
        EXPECT_EQ(summary.rows * summary.columns, 6u);
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), ErrorCode::kCorrupt) << error.what();
      }
    }
}

TEST(ImportNpy, LeavesTheOlderFileWhenItFails) {
  const TempFolder folder;
  tests::import_bytes(folder, "a.npy", two_by_three<float>("<f4", {1, 2, 3, 4, 5, 6}));
  const std::string before = tests::read_bytes(folder / "out.emb");
  tests::write_bytes(folder / "b.npy", two_by_three<double>("<f8", {1, 2, 3, 4, 5, 1e300}));
  tests::expect_error(ErrorCode::kCorrupt, [&] { import_matrix(folder / "b.npy", folder / "out.emb", {}); });
  EXPECT_EQ(tests::read_bytes(folder / "out.emb"), before);
}

}  // namespace
}  // namespace simtile
