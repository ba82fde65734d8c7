// Text: word vectors, and documents as hashed TF-IDF (docs/text.md).
#include <gmock/gmock.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>

#include "tests/import_files.h"

namespace simtile {
namespace {

using testing::AllOf;
using testing::Each;
using testing::ElementsAre;
using testing::FloatNear;
using testing::HasSubstr;
using testing::Pointwise;
using tests::import_bytes;
using tests::Imported;
using tests::refuse_bytes;
using tests::row_of;
using tests::TempFolder;

std::string id_of(const Imported& imported, std::uint64_t row) { return imported.matrix.id(row); }

TEST(ImportWordVectors, ReadsGloveAndWord2vec) {
  const TempFolder folder;
  for (const std::string first_line : {"", "3 2\n"}) {
    const Imported imported = import_bytes(folder, "a.vec", first_line + "the 0.5 -1e-3\n. . . 1 2 \r\n42\t3 4");
    EXPECT_EQ(imported.summary.format, "glove");
    EXPECT_EQ(imported.summary.columns, 2u);
    ASSERT_EQ(imported.summary.rows, 3u);
    EXPECT_TRUE(imported.summary.has_ids);
    EXPECT_EQ(id_of(imported, 0), "the");
    EXPECT_EQ(id_of(imported, 1), ". . .");
    EXPECT_EQ(id_of(imported, 2), "42");
    EXPECT_THAT(row_of(imported.matrix, 0), ElementsAre(0.5f, -1e-3f));
    EXPECT_THAT(row_of(imported.matrix, 2), ElementsAre(3, 4));
    EXPECT_EQ(imported.matrix.find(". . ."), 1u);
  }
}

TEST(ImportWordVectors, RefusesByLine) {
  const TempFolder folder;
  const auto refusal = [&](const std::string& bytes) { return refuse_bytes(folder, "a.vec", bytes); };
  EXPECT_THAT(refusal("the 1 2\na x 2\n"), AllOf(HasSubstr("line 2"), HasSubstr("'x'"), HasSubstr("column 0")));
  EXPECT_THAT(refusal("the 1 2\na 1\n"), AllOf(HasSubstr("line 2"), HasSubstr("'a'")));
  EXPECT_THAT(refusal("the 1 2\n 1 2\n"), AllOf(HasSubstr("line 2"), HasSubstr("no word")));
  EXPECT_THAT(refusal("the 1 2\n\n"), HasSubstr("line 2"));
  EXPECT_THAT(refusal("the 1 1e39\n"), HasSubstr("1e39"));
  EXPECT_THAT(refusal("the 1 2\nof 3 inf\n"), AllOf(HasSubstr("inf"), HasSubstr("row 1"), HasSubstr("column 1")));
  EXPECT_THAT(refusal("3 2\nthe 1 2\n"), AllOf(HasSubstr("1 words"), HasSubstr("says 3")));
  EXPECT_THAT(refusal("0 2\n"), HasSubstr("zero"));
  EXPECT_THAT(refusal("1 99999999999\nthe 1\n"), HasSubstr("columns"));
  EXPECT_THAT(refusal("alone\n"), HasSubstr("line 1"));
  EXPECT_THAT(refusal(""), HasSubstr("empty"));
}

// The non-zeros of a row, ascending: hashing scatters the columns.
std::vector<float> sorted_weights(const Matrix& matrix, std::uint64_t row) {
  std::vector<float> values = row_of(matrix, row);
  std::erase(values, 0.0f);
  std::sort(values.begin(), values.end());
  return values;
}

float dot(const Matrix& matrix, std::uint64_t a, std::uint64_t b) {
  const std::vector<float> x = row_of(matrix, a), y = row_of(matrix, b);
  float sum = 0.0f;
  for (std::size_t i = 0; i < x.size(); ++i) sum += x[i] * y[i];
  return sum;
}

// "aa" has three features: the word, " aa" and "aa ".
TEST(ImportText, WeighsByTheFormula) {
  const TempFolder folder;
  const Imported imported = import_bytes(folder, "a.txt", "aa\nAA, bb!\nbb bb bb cc\n");
  EXPECT_EQ(imported.summary.format, "text");
  EXPECT_TRUE(imported.summary.sparse);
  EXPECT_FALSE(imported.summary.has_ids);
  EXPECT_EQ(imported.summary.columns, std::uint64_t{1} << 20);
  EXPECT_EQ(imported.summary.nonzeros, 3u + 6 + 6);
  const auto idf = [](double with) { return std::log(4.0 / (1.0 + with)) + 1.0; };
  const auto unit = [](double a, double b) {
    const double norm = std::sqrt(3 * a * a + 3 * b * b);
    std::vector<float> weights(3, static_cast<float>(a / norm));
    if (b != 0) weights.insert(weights.end(), 3, static_cast<float>(b / norm));
    std::sort(weights.begin(), weights.end());
    return weights;
  };
  EXPECT_THAT(sorted_weights(imported.matrix, 0), Pointwise(FloatNear(1e-6f), unit(1, 0)));
  EXPECT_THAT(sorted_weights(imported.matrix, 1), Pointwise(FloatNear(1e-6f), unit(idf(2), idf(2))));
  EXPECT_THAT(sorted_weights(imported.matrix, 2),
              Pointwise(FloatNear(1e-6f), unit((1 + std::log(3.0)) * idf(2), idf(1))));
}

TEST(ImportText, FindsLikenessInPartsOfWords) {
  const TempFolder folder;
  const Imported imported =
      import_bytes(folder, "a.txt", "the red bicycle\nred bicycles\nquantum mechanics\n\nNaïve café\ncafé\n");
  ASSERT_EQ(imported.summary.rows, 6u);
  EXPECT_GT(dot(imported.matrix, 0, 1), 0.4f);
  EXPECT_LT(dot(imported.matrix, 0, 2), 0.05f);
  EXPECT_GT(dot(imported.matrix, 4, 5), 0.3f);
  EXPECT_THAT(row_of(imported.matrix, 3), Each(0.0f)) << "an empty line is a row without terms";
}

TEST(ImportText, HashesIntoFewSignedColumns) {
  const TempFolder folder;
  ImportOptions options;
  options.text_dims = 512;
  const std::string documents = "the red bicycle\nred bicycles\nquantum mechanics\n\n";
  const Imported dense = import_bytes(folder, "a.txt", documents, options);
  EXPECT_FALSE(dense.summary.sparse);
  EXPECT_EQ(dense.summary.columns, 512u);
  for (const std::uint64_t row : {0u, 1u, 2u}) EXPECT_NEAR(dot(dense.matrix, row, row), 1.0f, 1e-5f);
  EXPECT_THAT(row_of(dense.matrix, 3), Each(0.0f));
  const float dense_likeness = dot(dense.matrix, 0, 1);
  const std::vector<float> values = row_of(dense.matrix, 0);
  EXPECT_TRUE(std::any_of(values.begin(), values.end(), [](float v) { return v < 0; }));
  const Imported sparse = import_bytes(folder, "a.txt", documents);
  EXPECT_NEAR(dense_likeness, dot(sparse.matrix, 0, 1), 0.15f);
}

TEST(ImportText, TakesIdsBeforeATab) {
  const TempFolder folder;
  const Imported imported = import_bytes(folder, "a.txt", "k1\tsome words\nk2\t\nk 3\twords\tagain\n");
  EXPECT_TRUE(imported.summary.has_ids);
  EXPECT_EQ(id_of(imported, 2), "k 3");
  EXPECT_GT(dot(imported.matrix, 0, 2), 0.2f);
  EXPECT_THAT(refuse_bytes(folder, "a.txt", "k1\tsome\nk2 words\n"), AllOf(HasSubstr("line 2"), HasSubstr("tab")));
  EXPECT_THAT(refuse_bytes(folder, "a.txt", "k1\tsome\n\twords\n"), HasSubstr("line 2"));
}

TEST(ImportText, ReadsStandardInput) {
  const TempFolder folder;
  std::string documents;
  for (int i = 0; i < 30000; ++i) documents += "document number " + std::to_string(i) + "\n";  // more than a buffer
  import_bytes(folder, "a.txt", documents);
  const std::string from_file = tests::read_bytes(folder / "out.emb");
  const int saved = ::dup(STDIN_FILENO);
  ASSERT_NE(std::freopen((folder / "a.txt").c_str(), "r", stdin), nullptr);
  const ImportSummary summary = import_matrix("-", folder / "out2.emb", {});
  ::dup2(saved, STDIN_FILENO);
  ::close(saved);
  EXPECT_EQ(summary.rows, 30000u);
  EXPECT_EQ(tests::read_bytes(folder / "out2.emb"), from_file);
}

TEST(ImportText, SurvivesAnyBytes) {
  const TempFolder folder;
  std::string bytes;
  for (int high = 0; high < 256; ++high)
    for (int low = 0; low < 256; low += 5) {
      bytes += static_cast<char>(low);
      bytes += static_cast<char>(high);
    }
  ImportOptions options;
  options.format = "text";
  EXPECT_GT(import_bytes(folder, "bytes", "no tab here\n" + bytes, options).summary.rows, 200u);
}

TEST(ImportText, RefusesOptionsThatMakeNoSense) {
  const TempFolder folder;
  ImportOptions options;
  options.text_hash_columns = 0;
  refuse_bytes(folder, "a.txt", "words\n", options, ErrorCode::kInvalidArgument);
  options.text_hash_columns = std::uint64_t{1} << 40;
  refuse_bytes(folder, "a.txt", "words\n", options, ErrorCode::kInvalidArgument);
  options = {};
  options.text_dims = std::uint64_t{1} << 40;
  refuse_bytes(folder, "a.txt", "words\n", options, ErrorCode::kInvalidArgument);
  options = {};
  options.element_type = ElementType::kF16;
  EXPECT_THAT(refuse_bytes(folder, "a.txt", "words\n", options, ErrorCode::kInvalidArgument), HasSubstr("sparse"));
  EXPECT_THAT(refuse_bytes(folder, "a.txt", ""), HasSubstr("no rows"));
}

}  // namespace
}  // namespace simtile
