// Matrix files through the public handle: what was written is what is read, for every layout, element type and id kind.
#include <gmock/gmock.h>

#include <atomic>
#include <thread>

#include "simtile/matrix.h"
#include "simtile/verify.h"
#include "tests/test_files.h"

namespace simtile {
namespace {

using storage::IdKind;
using testing::ElementsAre;
using testing::HasSubstr;
using tests::dense_value;
using tests::expect_error;
using tests::TempFolder;

std::vector<float> row_of(const Matrix& matrix, std::uint64_t row) {
  std::vector<float> values(matrix.columns(), -1.0f);
  matrix.read_row(row, values);
  return values;
}

class DenseMatrix : public testing::TestWithParam<ElementType> {};

TEST_P(DenseMatrix, GivesBackEveryValue) {
  const TempFolder folder;
  const std::string path = folder / "a.emb";
  constexpr std::uint64_t kRows = 700, kColumns = 37;
  tests::write_dense(path, kRows, kColumns, GetParam());
  const Matrix matrix(path);
  EXPECT_EQ(matrix.info().rows, kRows);
  EXPECT_EQ(matrix.info().columns, kColumns);
  EXPECT_EQ(matrix.info().element_type, GetParam());
  EXPECT_FALSE(matrix.info().sparse);
  EXPECT_FALSE(matrix.info().normalized);
  EXPECT_EQ(matrix.info().row_stride_bytes, (kColumns * element_bytes(GetParam()) + 63) / 64 * 64);
  EXPECT_EQ(matrix.info().payload_offset, 4096u);
  EXPECT_EQ(matrix.info().file_bytes, std::filesystem::file_size(path));
  for (std::uint64_t row = 0; row < kRows; ++row) {
    const std::vector<float> values = row_of(matrix, row);
    for (std::uint64_t c = 0; c < kColumns; ++c) ASSERT_EQ(values[c], dense_value(row, c)) << row << "," << c;
  }
}

INSTANTIATE_TEST_SUITE_P(ElementTypes, DenseMatrix,
                         testing::Values(ElementType::kF32, ElementType::kF16, ElementType::kBF16, ElementType::kI8,
                                         ElementType::kU8),
                         [](const auto& type) { return std::string(to_string(type.param)); });

TEST(SparseMatrix, ScattersEveryRow) {
  const TempFolder folder;
  const std::string path = folder / "a.emb";
  std::vector<tests::SparseRow> rows{{{0, 2}, {1.5f, -2.0f}}, {{}, {}}, {{4}, {7.0f}}};
  tests::SparseRow full;  // more non-zeros than are read at a time
  for (std::uint32_t c = 0; c < 5000; ++c) {
    full.columns.push_back(c);
    full.values.push_back(static_cast<float>(c + 1));
  }
  rows.push_back(full);
  tests::write_sparse(path, 5000, rows);
  const Matrix matrix(path);
  EXPECT_TRUE(matrix.info().sparse);
  EXPECT_EQ(matrix.info().nonzeros, 5003u);
  EXPECT_EQ(matrix.info().row_stride_bytes, 0u);
  for (std::uint64_t row = 0; row < rows.size(); ++row) {
    std::vector<float> expected(5000, 0.0f);
    for (std::size_t i = 0; i < rows[row].columns.size(); ++i) expected[rows[row].columns[i]] = rows[row].values[i];
    EXPECT_EQ(row_of(matrix, row), expected) << row;
  }
}

TEST(SparseMatrix, MayHoldNothing) {
  const TempFolder folder;
  tests::write_sparse(folder / "a.emb", 3, {{}, {}});
  const Matrix matrix(folder / "a.emb");
  EXPECT_EQ(matrix.info().nonzeros, 0u);
  EXPECT_THAT(row_of(matrix, 1), ElementsAre(0.0f, 0.0f, 0.0f));
  EXPECT_EQ(verify_file(folder / "a.emb").blocks, 2u);  // row starts and norms
}

TEST(Matrix, NormalizedRowsHaveNormOne) {
  const TempFolder folder;
  storage::MatrixWriterOptions options;
  options.columns = 2;
  options.normalize = true;
  storage::MatrixWriter writer(folder / "a.emb", options);
  writer.append_rows(std::vector<float>{3.0f, 4.0f, 0.0f, 0.0f});
  writer.finish();
  const Matrix matrix(folder / "a.emb");
  EXPECT_TRUE(matrix.info().normalized);
  EXPECT_THAT(row_of(matrix, 0), ElementsAre(0.6f, 0.8f));
  EXPECT_THAT(row_of(matrix, 1), ElementsAre(0.0f, 0.0f));
}

TEST(MatrixIds, RowsWithoutIdsAreTheirNumbers) {
  const TempFolder folder;
  tests::write_dense(folder / "a.emb", 5, 2);
  const Matrix matrix(folder / "a.emb");
  EXPECT_EQ(matrix.info().id_kind, "none");
  EXPECT_EQ(matrix.id(4), "4");
  EXPECT_EQ(matrix.find("4"), 4u);
  EXPECT_EQ(matrix.find("5"), std::nullopt);
  EXPECT_EQ(matrix.find("four"), std::nullopt);
}

TEST(MatrixIds, NumbersAreFound) {
  const TempFolder folder;
  tests::write_dense(folder / "a.emb", 3000, 2, ElementType::kU8, IdKind::kU64);
  const Matrix matrix(folder / "a.emb");
  EXPECT_EQ(matrix.info().id_kind, "u64");
  for (std::uint64_t row = 0; row < 3000; ++row) {
    const std::string id = std::to_string(tests::kFirstU64Id + row);
    ASSERT_EQ(matrix.id(row), id);
    ASSERT_EQ(matrix.find(id), row);
  }
  EXPECT_EQ(matrix.find("999"), std::nullopt);
  EXPECT_EQ(matrix.find("4000"), std::nullopt);
  EXPECT_EQ(matrix.find("-1"), std::nullopt);
}

TEST(MatrixIds, StringsAreFound) {
  const TempFolder folder;
  tests::write_dense(folder / "a.emb", 3000, 2, ElementType::kU8, IdKind::kString);
  const Matrix matrix(folder / "a.emb");
  EXPECT_EQ(matrix.info().id_kind, "string");
  for (std::uint64_t row = 0; row < 3000; ++row) {
    ASSERT_EQ(matrix.id(row), tests::string_id(row));
    ASSERT_EQ(matrix.find(tests::string_id(row)), row);
  }
  EXPECT_EQ(matrix.find("id-3000"), std::nullopt);
  EXPECT_EQ(matrix.find(""), std::nullopt);
}

storage::MatrixWriterOptions one_column_with_string_ids() {
  storage::MatrixWriterOptions options;
  options.columns = 1;
  options.id_kind = IdKind::kString;
  return options;
}

TEST(MatrixIds, AnIdThatOccursTwiceFindsItsFirstRow) {
  const TempFolder folder;
  storage::MatrixWriter writer(folder / "a.emb", one_column_with_string_ids());
  for (const char* id : {"x", "twice", "y", "twice"}) {
    writer.append_rows(std::vector<float>{1.0f});
    writer.append_id(id);
  }
  writer.finish();
  const Matrix matrix(folder / "a.emb");
  EXPECT_EQ(matrix.find("twice"), 1u);
  EXPECT_EQ(matrix.find(""), std::nullopt);
  EXPECT_EQ(matrix.id(2), "y");
}

TEST(MatrixIds, AnEmptyOneNamesNothingAndIsRefused) {
  const TempFolder folder;
  storage::MatrixWriter writer(folder / "a.emb", one_column_with_string_ids());
  writer.append_id("x");
  EXPECT_THAT(expect_error(ErrorCode::kCorrupt, [&] { writer.append_id(""); }), HasSubstr("row 1 is empty"));
}

TEST(Matrix, RefusesRowsThatDoNotExist) {
  const TempFolder folder;
  tests::write_dense(folder / "a.emb", 5, 2);
  const Matrix matrix(folder / "a.emb");
  std::vector<float> values(2);
  EXPECT_THAT(expect_error(ErrorCode::kInvalidArgument, [&] { matrix.read_row(5, values); }), HasSubstr("no row 5"));
  expect_error(ErrorCode::kInvalidArgument, [&] { matrix.read_row(UINT64_MAX, values); });
  expect_error(ErrorCode::kInvalidArgument, [&] { matrix.id(5); });
  values.resize(3);
  EXPECT_THAT(expect_error(ErrorCode::kInvalidArgument, [&] { matrix.read_row(0, values); }), HasSubstr("2 values"));
}

TEST(Matrix, KeepsReadingTheVersionThatItOpened) {
  const TempFolder folder;
  tests::write_dense(folder / "a.emb", 500, 40);
  const Matrix old(folder / "a.emb");
  tests::write_dense(folder / "a.emb", 2, 3);
  EXPECT_EQ(row_of(old, 499)[39], dense_value(499, 39));
  EXPECT_EQ(Matrix(folder / "a.emb").rows(), 2u);
}

TEST(Matrix, MayBeReadFromSeveralThreads) {
  const TempFolder folder;
  constexpr std::uint64_t kRows = 2000, kColumns = 40;
  tests::write_dense(folder / "a.emb", kRows, kColumns, ElementType::kF32, IdKind::kString);
  const Matrix matrix(folder / "a.emb");
  std::atomic<std::uint64_t> wrong = 0;
  std::vector<std::thread> threads;
  for (std::uint64_t t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      for (std::uint64_t i = 0; i < 2000; ++i) {
        const std::uint64_t row = (i * 997 + t * 501) % kRows;
        if (row_of(matrix, row)[kColumns - 1] != dense_value(row, kColumns - 1)) ++wrong;
        if (matrix.find(matrix.id(row)) != row) ++wrong;
      }
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0u);
}

TEST(Matrix, MissingFilesAndFoldersAreIoErrors) {
  const TempFolder folder;
  EXPECT_THAT(expect_error(ErrorCode::kIo, [&] { Matrix(folder / "none.emb"); }), HasSubstr("none.emb"));
  expect_error(ErrorCode::kIo, [&] { Matrix(folder.path()); });
  expect_error(ErrorCode::kIo, [&] { verify_file(folder / "none.emb"); });
}

}  // namespace
}  // namespace simtile
