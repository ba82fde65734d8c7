// `simtile export`: every format says the same as the neighbours file.
#include <gmock/gmock.h>
#include <sqlite3.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>

#include "simtile/neighbours.h"
#include "tests/run_tool.h"

namespace simtile {
namespace {

using nlohmann::json;
using storage::IdKind;
using testing::HasSubstr;
using testing::StartsWith;
using tests::run_tool;
using tests::TempFolder;

// More rows than one block of an export holds.
constexpr std::uint64_t kRows = 12000, kTopK = 3;

class Export : public testing::Test {
 protected:
  void write(IdKind query_ids, IdKind base_ids) {
    tests::write_dense(folder_ / "q.emb", kRows, 2, ElementType::kU8, query_ids);
    tests::write_dense(folder_ / "b.emb", kRows + 1, 2, ElementType::kU8, base_ids);
    tests::write_neighbours(knn_, folder_ / "q.emb", folder_ / "b.emb", kTopK);
  }
  void run(const std::string& destination, const std::string& format = "") {
    std::vector<std::string> arguments{"export", knn_, destination};
    if (!format.empty()) arguments.insert(arguments.end(), {"--format", format});
    const tests::ToolResult result = run_tool(arguments);
    ASSERT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(result.err, "");
  }

  const TempFolder folder_;
  const std::string knn_ = folder_ / "a.knn";
};

std::vector<Neighbour> expected(std::uint64_t row) { return tests::test_neighbours(row, kRows, kRows + 1, kTopK); }

TEST_F(Export, CsvWithoutIds) {
  write(IdKind::kNone, IdKind::kNone);
  run(folder_ / "out.csv");
  std::istringstream csv(tests::read_bytes(folder_ / "out.csv"));
  std::string line;
  std::getline(csv, line);
  EXPECT_EQ(line, "row,rank,neighbor_row,score");
  for (std::uint64_t row = 0; row < kRows; ++row) {
    const std::vector<Neighbour> neighbours = expected(row);
    for (std::size_t i = 0; i < neighbours.size(); ++i) {
      ASSERT_TRUE(std::getline(csv, line));
      std::istringstream fields(line);
      std::uint64_t found_row = 0, rank = 0, neighbour = 0;
      float score = 0.0f;
      char comma = 0;
      fields >> found_row >> comma >> rank >> comma >> neighbour >> comma >> score;
      ASSERT_TRUE(found_row == row && rank == i + 1 && neighbour == neighbours[i].row && score == neighbours[i].score)
          << line;
    }
  }
  EXPECT_FALSE(std::getline(csv, line));
}

// Runs a query and gives its rows, columns apart by a bar.
std::vector<std::string> rows_of(const std::string& path, const std::string& sql) {
  sqlite3* database = nullptr;
  EXPECT_EQ(sqlite3_open_v2(path.c_str(), &database, SQLITE_OPEN_READONLY, nullptr), SQLITE_OK);
  std::vector<std::string> rows;
  const auto take = [](void* out, int columns, char** values, char**) {
    std::string row;
    for (int c = 0; c < columns; ++c) row += (c == 0 ? "" : "|") + std::string(values[c]);
    static_cast<std::vector<std::string>*>(out)->push_back(row);
    return 0;
  };
  EXPECT_EQ(sqlite3_exec(database, sql.c_str(), take, &rows, nullptr), SQLITE_OK) << sqlite3_errmsg(database);
  sqlite3_close(database);
  return rows;
}

TEST_F(Export, SqliteIsLookedUpById) {
  for (const IdKind ids : {IdKind::kNone, IdKind::kU64, IdKind::kString}) {
    write(ids, ids);
    run(folder_ / "out.sqlite");
    const auto id = [&](std::uint64_t row) {
      return ids == IdKind::kString ? tests::string_id(row)
                                    : std::to_string(row + (ids == IdKind::kU64 ? tests::kFirstU64Id : 0));
    };
    std::uint64_t entries = 0;
    for (std::uint64_t row = 0; row < kRows; ++row) entries += expected(row).size();
    EXPECT_EQ(rows_of(folder_ / "out.sqlite", "SELECT count(*) FROM neighbors"),
              std::vector<std::string>{std::to_string(entries)});
    for (const std::uint64_t row : {std::uint64_t{0}, std::uint64_t{17}, kRows - 1}) {
      const std::string quoted = ids == IdKind::kString ? "'" + id(row) + "'" : id(row);
      const std::string where = " FROM neighbors WHERE id = " + quoted + " ORDER BY rank";
      std::vector<std::string> wanted;
      for (const Neighbour& neighbour : expected(row))
        wanted.push_back(std::to_string(wanted.size() + 1) + "|" + id(neighbour.row));
      EXPECT_EQ(rows_of(folder_ / "out.sqlite", "SELECT rank, neighbor_id" + where), wanted);
      EXPECT_THAT(rows_of(folder_ / "out.sqlite", "EXPLAIN QUERY PLAN SELECT rank" + where).at(0),
                  HasSubstr("neighbors_by_id"));
      const std::vector<std::string> scores = rows_of(folder_ / "out.sqlite", "SELECT score" + where);
      for (std::size_t i = 0; i < scores.size(); ++i) EXPECT_EQ(std::stof(scores[i]), expected(row)[i].score);
    }
  }
}

// A join by threshold: any number of neighbours a row.
// Where SQLite has its temporary file open, once it has one.
std::string sorting_folder(pid_t pid) {
  std::error_code ignored;
  for (const auto& fd : std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/fd", ignored)) {
    const std::filesystem::path file = std::filesystem::read_symlink(fd, ignored);
    if (file.filename().string().starts_with("etilqs_")) return file.parent_path().string();
  }
  return "";
}

TEST_F(Export, SqliteSortsBesideItsOutputAndIsInterruptedThere) {
  write(IdKind::kNone, IdKind::kNone);
  tests::write_neighbours(knn_, folder_ / "q.emb", folder_ / "b.emb", 60);
  tests::Tool tool({"export", knn_, folder_ / "out.sqlite"});
  std::string sorting;
  for (const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
       sorting.empty() && std::chrono::steady_clock::now() < end;)
    sorting = sorting_folder(tool.pid());
  ::kill(tool.pid(), SIGINT);
  EXPECT_EQ(sorting, std::filesystem::canonical(folder_.path()).string());
  EXPECT_EQ(tool.wait().exit_code, 130);
  EXPECT_FALSE(std::filesystem::exists(folder_ / "out.sqlite"));
}

// What is written is named after DST, and it is that which must not be the input.
TEST_F(Export, NpyIsNotWrittenOverItsInput) {
  write(IdKind::kNone, IdKind::kNone);
  const std::string before = tests::read_bytes(knn_);
  for (const std::string name : {"x.rows.npy", "x.scores.npy"}) {
    std::filesystem::copy_file(knn_, folder_ / name);
    for (const std::string destination : {"x", "x.npy"}) {
      const tests::ToolResult result = run_tool({"export", folder_ / name, folder_ / destination, "--format", "npy"});
      EXPECT_EQ(result.exit_code, 2) << name;
      EXPECT_THAT(result.err, HasSubstr("is the input"));
    }
    EXPECT_EQ(tests::read_bytes(folder_ / name), before);
    std::filesystem::remove(folder_ / name);
  }
}

TEST_F(Export, AllPairs) {
  tests::write_dense(folder_ / "a.emb", 90, 5, ElementType::kF32, IdKind::kString);
  const tests::ToolResult join =
      run_tool({"join", folder_ / "a.emb", "--min-score", "0.97", "-o", knn_, "--progress", "none"});
  ASSERT_EQ(join.exit_code, 0) << join.err;
  const Neighbours neighbours(knn_);
  ASSERT_EQ(neighbours.info().top_k, 0u);
  ASSERT_GT(neighbours.info().entries, 90u);
  run(folder_ / "out.csv");
  const std::string csv = tests::read_bytes(folder_ / "out.csv");
  EXPECT_EQ(static_cast<std::uint64_t>(std::count(csv.begin(), csv.end(), '\n')), neighbours.info().entries + 1);
  run(folder_ / "out.ndjson");
  std::istringstream lines(tests::read_bytes(folder_ / "out.ndjson"));
  std::string line;
  for (std::uint64_t row = 0; row < 90; ++row) {
    ASSERT_TRUE(std::getline(lines, line));
    EXPECT_EQ(json::parse(line)["neighbors"].size(), neighbours.row(row).size());
  }
  run(folder_ / "out.sqlite");
  EXPECT_EQ(rows_of(folder_ / "out.sqlite", "SELECT count(*) FROM neighbors"),
            std::vector<std::string>{std::to_string(neighbours.info().entries)});
  run(folder_ / "out.npy");
  // The text of the header takes the first 128 bytes.
  const std::string starts = tests::read_bytes(folder_ / "out.starts.npy");
  ASSERT_EQ(starts.size(), 128u + 91u * 8u);
  std::uint64_t end = 0;
  std::memcpy(&end, starts.data() + starts.size() - 8, 8);
  EXPECT_EQ(end, neighbours.info().entries);
  EXPECT_EQ(tests::read_bytes(folder_ / "out.rows.npy").size(), 128u + end * 8);
  EXPECT_EQ(tests::read_bytes(folder_ / "out.scores.npy").size(), 128u + end * 4);
  const tests::ToolResult ivecs = run_tool({"export", knn_, folder_ / "out.ivecs"});
  EXPECT_EQ(ivecs.exit_code, 2);
  EXPECT_THAT(ivecs.err, HasSubstr("choose npy, csv or ndjson"));
}

TEST_F(Export, CsvQuotesIds) {
  storage::MatrixWriterOptions options;
  options.columns = 1;
  options.id_kind = IdKind::kString;
  storage::MatrixWriter writer(folder_ / "q.emb", options);
  for (const char* id : {"plain", "a,b", "say \"hi\"", "two\nlines"}) {
    writer.append_rows(std::vector<float>{1.0f});
    writer.append_id(id);
  }
  writer.finish();
  tests::write_neighbours(knn_, folder_ / "q.emb", "", 1);
  EXPECT_EQ(run_tool({"export", knn_, "-", "--format", "csv"}).out,
            "row,rank,neighbor_row,score,id,neighbor_id\n"
            "0,1,1,1,plain,\"a,b\"\n"
            "1,1,2,1,\"a,b\",\"say \"\"hi\"\"\"\n"
            "2,1,3,1,\"say \"\"hi\"\"\",\"two\nlines\"\n"
            "3,1,0,1,\"two\nlines\",plain\n");
}

TEST_F(Export, NdjsonIsARowALine) {
  write(IdKind::kString, IdKind::kU64);
  run(folder_ / "out.ndjson");
  std::istringstream ndjson(tests::read_bytes(folder_ / "out.ndjson"));
  std::string line;
  for (std::uint64_t row = 0; row < kRows; ++row) {
    ASSERT_TRUE(std::getline(ndjson, line));
    const json object = json::parse(line);
    ASSERT_EQ(object["row"], row);
    ASSERT_EQ(object["id"], tests::string_id(row));
    const std::vector<Neighbour> neighbours = expected(row);
    ASSERT_EQ(object["neighbors"].size(), neighbours.size());
    for (std::size_t i = 0; i < neighbours.size(); ++i) {
      const json& each = object["neighbors"][i];
      ASSERT_EQ(each["rank"], i + 1);
      ASSERT_EQ(each["row"], neighbours[i].row);
      ASSERT_EQ(each["id"], tests::kFirstU64Id + neighbours[i].row);
      ASSERT_EQ(each["score"].get<float>(), neighbours[i].score);
    }
  }
  EXPECT_FALSE(std::getline(ndjson, line));
}

TEST_F(Export, IdsAreTheSameWhateverTheBudget) {
  write(IdKind::kString, IdKind::kString);
  const std::string plenty = run_tool({"export", knn_, "-", "--format", "csv", "--budget", "1GiB"}).out;
  // So little that the ids of the base rows are looked up one by one.
  tests::write_dense(folder_ / "b.emb", 1'500'000, 1, ElementType::kU8, IdKind::kString);
  tests::write_neighbours(knn_, folder_ / "q.emb", folder_ / "b.emb", kTopK);
  const std::string little = run_tool({"export", knn_, "-", "--format", "csv", "--budget", "32MiB"}).out;
  const auto lines = [](const std::string& text) { return std::count(text.begin(), text.end(), '\n'); };
  EXPECT_EQ(lines(little), lines(plenty));
  EXPECT_EQ(little.substr(0, 300000), plenty.substr(0, 300000));  // rows near the end have other neighbours
}

TEST_F(Export, NpyIsTwoArrays) {
  write(IdKind::kNone, IdKind::kNone);
  for (const char* destination : {"out", "other.npy"}) {
    run(folder_ / destination, "npy");
    const std::string stem = folder_ / std::filesystem::path(destination).stem().string();
    const std::string rows = tests::read_bytes(stem + ".rows.npy");
    const std::string scores = tests::read_bytes(stem + ".scores.npy");
    EXPECT_THAT(rows, StartsWith(std::string("\x93NUMPY\x01\x00", 8)));
    EXPECT_THAT(rows, HasSubstr("{'descr': '<i8', 'fortran_order': False, 'shape': (12000, 3), }"));
    EXPECT_THAT(scores, HasSubstr("{'descr': '<f4', 'fortran_order': False, 'shape': (12000, 3), }"));
    const auto header_bytes = [](const std::string& npy) {
      return std::size_t{10} + static_cast<unsigned char>(npy[8]) + 256 * static_cast<unsigned char>(npy[9]);
    };
    ASSERT_EQ(header_bytes(rows) % 64, 0u);
    ASSERT_EQ(rows.size(), header_bytes(rows) + kRows * kTopK * 8);
    ASSERT_EQ(scores.size(), header_bytes(scores) + kRows * kTopK * 4);
    for (std::uint64_t i = 0; i < kRows * kTopK; ++i) {
      std::int64_t row = 0;
      float score = 0.0f;
      std::memcpy(&row, rows.data() + header_bytes(rows) + i * 8, 8);
      std::memcpy(&score, scores.data() + header_bytes(scores) + i * 4, 4);
      const std::vector<Neighbour> neighbours = expected(i / kTopK);
      if (i % kTopK < neighbours.size()) {
        ASSERT_EQ(row, static_cast<std::int64_t>(neighbours[i % kTopK].row));
        ASSERT_EQ(score, neighbours[i % kTopK].score);
      } else {
        ASSERT_EQ(row, -1);
        ASSERT_TRUE(std::isnan(score));
      }
    }
  }
}

TEST_F(Export, IvecsHasTopKRowsForEach) {
  write(IdKind::kNone, IdKind::kNone);
  run(folder_ / "out.ivecs");
  const std::string bytes = tests::read_bytes(folder_ / "out.ivecs");
  ASSERT_EQ(bytes.size(), kRows * (kTopK + 1) * 4);
  for (std::uint64_t row = 0; row < kRows; ++row) {
    std::int32_t record[kTopK + 1];
    std::memcpy(record, bytes.data() + row * sizeof record, sizeof record);
    ASSERT_EQ(record[0], static_cast<std::int32_t>(kTopK));
    const std::vector<Neighbour> neighbours = expected(row);
    for (std::size_t k = 0; k < kTopK; ++k)
      ASSERT_EQ(record[k + 1], k < neighbours.size() ? static_cast<std::int32_t>(neighbours[k].row) : -1);
  }
}

TEST_F(Export, WhatCannotBeDoneIsRefused) {
  write(IdKind::kNone, IdKind::kNone);
  EXPECT_EQ(run_tool({"export", knn_, folder_ / "out"}).exit_code, 2);
  EXPECT_EQ(run_tool({"export", knn_, folder_ / "out.xlsx"}).exit_code, 2);
  EXPECT_EQ(run_tool({"export", knn_, "-", "--format", "npy"}).exit_code, 2);
  EXPECT_EQ(run_tool({"export", knn_, folder_.path(), "--format", "csv"}).exit_code, 2);
  EXPECT_EQ(run_tool({"export", knn_, knn_, "--format", "csv"}).exit_code, 2);
  EXPECT_EQ(run_tool({"export", knn_, "-", "--format", "csv"}, {}, "/dev/full").exit_code, 1);
  EXPECT_EQ(run_tool({"export", folder_ / "none.knn", folder_ / "out.csv"}).exit_code, 1);
  std::string bytes = tests::read_bytes(knn_);
  bytes[kRows * 8] = static_cast<char>(bytes[kRows * 8] ^ 1);
  tests::write_bytes(knn_, bytes);
  EXPECT_EQ(run_tool({"export", knn_, folder_ / "out.csv"}).exit_code, 3);
  EXPECT_FALSE(std::filesystem::exists(folder_ / "out.csv"));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "out.csv.partial"));
}

}  // namespace
}  // namespace simtile
