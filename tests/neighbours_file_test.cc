// Neighbours files through the public handle: what was written is what is read, ids included.
#include <gmock/gmock.h>
#include <xxhash.h>

#include <atomic>
#include <cmath>
#include <thread>

#include "simtile/matrix.h"
#include "simtile/neighbours.h"
#include "simtile/verify.h"
#include "tests/test_files.h"

namespace simtile {
namespace {

using storage::IdKind;
using testing::HasSubstr;
using tests::expect_error;
using tests::TempFolder;

// As test_neighbours(), which wrote the file, says.
void expect_rows(const Neighbours& neighbours, std::uint64_t rows, std::uint64_t base_rows, std::uint64_t top_k) {
  for (std::uint64_t row = 0; row < rows; ++row) {
    const std::vector<Neighbour> expected = tests::test_neighbours(row, rows, base_rows, top_k);
    const std::vector<Neighbour> found = neighbours.row(row);
    ASSERT_EQ(found.size(), expected.size()) << row;
    for (std::size_t i = 0; i < found.size(); ++i) {
      ASSERT_EQ(found[i].row, expected[i].row) << row;
      ASSERT_EQ(found[i].score, expected[i].score) << row;
    }
  }
}

TEST(Neighbours, OfASelfJoinAreReadBack) {
  const TempFolder folder;
  constexpr std::uint64_t kRows = 3000, kTopK = 7;  // several blocks, rows across their borders
  tests::write_dense(folder / "a.emb", kRows, 3, ElementType::kF32, IdKind::kString);
  tests::write_neighbours(folder / "a.knn", folder / "a.emb", "", kTopK);
  const Neighbours neighbours(folder / "a.knn");
  const NeighboursInfo info = neighbours.info();
  EXPECT_EQ(info.rows, kRows);
  EXPECT_EQ(info.base_rows, kRows);
  EXPECT_EQ(info.top_k, kTopK);
  EXPECT_EQ(info.columns, 3u);
  EXPECT_EQ(info.metric, Metric::kCosine);
  EXPECT_TRUE(info.self_join);
  EXPECT_EQ(info.min_score, std::nullopt);
  EXPECT_EQ(info.query_id_kind, "string");
  EXPECT_EQ(info.base_id_kind, "string");
  EXPECT_EQ(info.query_identity, Matrix(folder / "a.emb").info().identity);
  EXPECT_EQ(info.base_identity, info.query_identity);
  EXPECT_EQ(info.rows_offset, 4096u);
  EXPECT_EQ(info.scores_offset % 4096, 0u);
  EXPECT_EQ(info.file_bytes, std::filesystem::file_size(folder / "a.knn"));
  expect_rows(neighbours, kRows, kRows, kTopK);
  for (std::uint64_t row = 0; row < kRows; row += 13) {
    const std::vector<Neighbour> best = neighbours.neighbours(row, 2);
    ASSERT_EQ(best.size(), 2u);
    EXPECT_EQ(best[1].row, neighbours.row(row)[1].row);
    EXPECT_EQ(neighbours.query_id(row), tests::string_id(row));
    EXPECT_EQ(neighbours.base_id(row), tests::string_id(row));
    EXPECT_EQ(neighbours.find(tests::string_id(row)), row);
  }
  EXPECT_EQ(neighbours.find("nobody"), std::nullopt);
}

TEST(Neighbours, OfASearchCarryTheIdsOfBothSides) {
  const TempFolder folder;
  tests::write_dense(folder / "q.emb", 20, 3, ElementType::kF32, IdKind::kU64);
  tests::write_dense(folder / "b.emb", 30000, 3, ElementType::kU8, IdKind::kString);
  tests::write_neighbours(folder / "a.knn", folder / "q.emb", folder / "b.emb", 4);
  std::filesystem::remove(folder / "q.emb");
  std::filesystem::remove(folder / "b.emb");
  const Neighbours neighbours(folder / "a.knn");
  EXPECT_FALSE(neighbours.info().self_join);
  EXPECT_EQ(neighbours.info().rows, 20u);
  EXPECT_EQ(neighbours.info().base_rows, 30000u);
  EXPECT_EQ(neighbours.info().query_id_kind, "u64");
  EXPECT_EQ(neighbours.info().base_id_kind, "string");
  EXPECT_NE(neighbours.info().query_identity, neighbours.info().base_identity);
  expect_rows(neighbours, 20, 30000, 4);
  EXPECT_EQ(neighbours.query_id(3), "1003");
  EXPECT_EQ(neighbours.find("1003"), 3u);
  EXPECT_EQ(neighbours.base_id(29999), "id-29999");
  EXPECT_NO_THROW(verify_file(folder / "a.knn"));
}

TEST(Neighbours, WithoutIdsRowsAreTheirNumbers) {
  const TempFolder folder;
  tests::write_dense(folder / "q.emb", 2, 3);
  tests::write_dense(folder / "b.emb", 5, 3);
  tests::write_neighbours(folder / "a.knn", folder / "q.emb", folder / "b.emb", 4);
  const Neighbours neighbours(folder / "a.knn");
  EXPECT_EQ(neighbours.info().query_id_kind, "none");
  EXPECT_EQ(neighbours.base_id(4), "4");
  EXPECT_EQ(neighbours.find("1"), 1u);
  EXPECT_EQ(neighbours.find("2"), std::nullopt);
}

TEST(Neighbours, ReadRowsGivesThemAsStored) {
  const TempFolder folder;
  tests::write_dense(folder / "a.emb", 6, 3);
  tests::write_neighbours(folder / "a.knn", folder / "a.emb", "", 3);
  const Neighbours neighbours(folder / "a.knn");
  std::vector<std::uint64_t> rows(6);
  std::vector<float> scores(6);
  neighbours.read_rows(4, 2, rows, scores);
  EXPECT_THAT(rows, testing::ElementsAre(5, 0, 1, 0, kNoRow, kNoRow));
  EXPECT_EQ(scores[3], 1.0f);
  EXPECT_TRUE(std::isnan(scores[4]) && std::isnan(scores[5]));
}

TEST(Neighbours, TheWriterHashesTheWholeFile) {
  const TempFolder folder;
  tests::write_dense(folder / "a.emb", 9000, 3, ElementType::kF32, IdKind::kU64);
  const std::uint64_t hash = tests::write_neighbours(folder / "a.knn", folder / "a.emb", "", 5);
  const std::string bytes = tests::read_bytes(folder / "a.knn");
  EXPECT_EQ(hash, XXH3_64bits(bytes.data(), bytes.size()));
}

TEST(Neighbours, TheBytesDoNotDependOnPaths) {
  const TempFolder folder;
  tests::write_dense(folder / "a.emb", 50, 3, ElementType::kF32, IdKind::kString);
  tests::write_dense(folder / "other-name.emb", 50, 3, ElementType::kF32, IdKind::kString);
  tests::write_neighbours(folder / "a.knn", folder / "a.emb", "", 5);
  tests::write_neighbours(folder / "b.knn", folder / "other-name.emb", "", 5);
  EXPECT_EQ(tests::read_bytes(folder / "a.knn"), tests::read_bytes(folder / "b.knn"));
}

TEST(Neighbours, DamagedIdsAreNotCopied) {
  const TempFolder folder;
  tests::write_dense(folder / "a.emb", 50, 3, ElementType::kF32, IdKind::kString);
  const std::uint64_t ids_offset =
      storage::MatrixFile::open(folder / "a.emb").section(storage::SectionKind::kIds)->offset;
  std::string bytes = tests::read_bytes(folder / "a.emb");
  bytes[ids_offset] = static_cast<char>(bytes[ids_offset] ^ 1);
  tests::write_bytes(folder / "a.emb", bytes);
  EXPECT_THAT(
      expect_error(ErrorCode::kCorrupt, [&] { tests::write_neighbours(folder / "a.knn", folder / "a.emb", "", 2); }),
      HasSubstr("block"));
  EXPECT_FALSE(std::filesystem::exists(folder / "a.knn"));
  EXPECT_FALSE(std::filesystem::exists(folder / "a.knn.partial"));
}

TEST(Neighbours, EveryRowMustBeWritten) {
  const TempFolder folder;
  tests::write_dense(folder / "a.emb", 5, 3);
  const storage::MatrixFile matrix = storage::MatrixFile::open(folder / "a.emb");
  storage::NeighboursBody body{};
  body.top_k = 2;
  body.metric = static_cast<std::uint32_t>(Metric::kL2);
  body.flags = storage::kNeighboursSelfJoin;
  storage::NeighboursWriter writer(folder / "a.knn", body, matrix, nullptr);
  writer.append_row({});
  expect_error(ErrorCode::kInvalidArgument, [&] { writer.finish(); });
  EXPECT_FALSE(std::filesystem::exists(folder / "a.knn"));
}

TEST(Neighbours, KeepTheLeastScore) {
  const TempFolder folder;
  tests::write_dense(folder / "a.emb", 1, 3);
  const storage::MatrixFile matrix = storage::MatrixFile::open(folder / "a.emb");
  storage::NeighboursBody body{};
  body.top_k = 1;
  body.metric = static_cast<std::uint32_t>(Metric::kL2);
  body.flags = storage::kNeighboursSelfJoin | storage::kNeighboursMinScore;
  body.min_score = 0.25f;
  storage::NeighboursWriter writer(folder / "a.knn", body, matrix, nullptr);
  writer.append_row({});
  writer.finish();
  const Neighbours neighbours(folder / "a.knn");
  EXPECT_EQ(neighbours.info().min_score, 0.25f);
  EXPECT_EQ(neighbours.info().metric, Metric::kL2);
  EXPECT_TRUE(neighbours.row(0).empty());
}

TEST(Neighbours, RefuseRowsThatDoNotExist) {
  const TempFolder folder;
  tests::write_dense(folder / "q.emb", 2, 3);
  tests::write_dense(folder / "b.emb", 5, 3);
  tests::write_neighbours(folder / "a.knn", folder / "q.emb", folder / "b.emb", 2);
  const Neighbours neighbours(folder / "a.knn");
  EXPECT_THAT(expect_error(ErrorCode::kInvalidArgument, [&] { neighbours.row(2); }), HasSubstr("no row 2"));
  expect_error(ErrorCode::kInvalidArgument, [&] { neighbours.query_id(2); });
  expect_error(ErrorCode::kInvalidArgument, [&] { neighbours.base_id(5); });
  std::vector<std::uint64_t> rows(4);
  std::vector<float> scores(4);
  expect_error(ErrorCode::kInvalidArgument, [&] { neighbours.read_rows(1, 2, rows, scores); });
  expect_error(ErrorCode::kInvalidArgument, [&] { neighbours.read_rows(1, 1, rows, scores); });
  expect_error(ErrorCode::kInvalidArgument, [&] { neighbours.read_rows(1, UINT64_MAX, rows, scores); });
}

TEST(Neighbours, MayBeReadFromSeveralThreads) {
  const TempFolder folder;
  constexpr std::uint64_t kRows = 5000, kTopK = 5;
  tests::write_dense(folder / "a.emb", kRows, 2);
  tests::write_neighbours(folder / "a.knn", folder / "a.emb", "", kTopK);
  const Neighbours neighbours(folder / "a.knn");
  std::atomic<std::uint64_t> wrong = 0;
  std::vector<std::thread> threads;
  for (std::uint64_t t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      for (std::uint64_t i = 0; i < 2000; ++i) {
        const std::uint64_t row = (i * 997 + t * 1250) % (kRows - 1);
        if (neighbours.row(row)[0].row != row + 1) ++wrong;
      }
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0u);
}

}  // namespace
}  // namespace simtile
