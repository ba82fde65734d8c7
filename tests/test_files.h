// Small files for tests: a scratch folder that cleans up, whole-file reads and writes, and one maker for each kind of
// simtile file.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "engine/storage/matrix_file.h"
#include "engine/storage/matrix_writer.h"
#include "engine/storage/neighbours_writer.h"
#include "simtile/error.h"

namespace simtile::tests {

// A fresh folder, removed with everything in it.
class TempFolder {
 public:
  TempFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "simtile-test-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("cannot make " + name);
    path_ = name;
  }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  ~TempFolder() { std::filesystem::remove_all(path_); }

  std::string path() const { return path_; }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

inline std::string read_bytes(const std::string& path) {
  std::ifstream in(path, std::ios::binary | std::ios::ate);
  if (!in) return {};
  // At once: under the thread sanitizer, going on byte by byte took a third of some tests.
  std::string bytes(static_cast<std::size_t>(in.tellg()), '\0');
  in.seekg(0).read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  bytes.resize(static_cast<std::size_t>(in.gcount()));
  return bytes;
}

inline void write_bytes(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc).write(bytes.data(), std::streamsize(bytes.size()));
}

// Row r, column c of the dense matrices made here: small integers, so that every element type holds them.
inline float dense_value(std::uint64_t row, std::uint64_t column) {
  return static_cast<float>((row * 7 + column * 3) % 50);
}

// Ids made here: "id-0", "id-1", ... or 1000, 1001, ...
inline std::string string_id(std::uint64_t row) { return "id-" + std::to_string(row); }
inline constexpr std::uint64_t kFirstU64Id = 1000;

inline void append_test_id(storage::MatrixWriter& writer, storage::IdKind kind, std::uint64_t row) {
  if (kind == storage::IdKind::kString) writer.append_id(string_id(row));
  if (kind == storage::IdKind::kU64) writer.append_id(kFirstU64Id + row);
}

inline void write_dense(const std::string& path, std::uint64_t rows, std::uint64_t columns,
                        ElementType type = ElementType::kF32, storage::IdKind ids = storage::IdKind::kNone) {
  storage::MatrixWriterOptions options;
  options.element_type = type;
  options.columns = columns;
  options.id_kind = ids;
  options.integers_as_they_are = type == ElementType::kI8;
  options.source_name = "test";
  storage::MatrixWriter writer(path, options);
  std::vector<float> values(columns);
  for (std::uint64_t row = 0; row < rows; ++row) {
    for (std::uint64_t c = 0; c < columns; ++c) values[c] = dense_value(row, c);
    writer.append_rows(values);
    append_test_id(writer, ids, row);
  }
  writer.finish();
}

struct SparseRow {
  std::vector<std::uint32_t> columns;
  std::vector<float> values;
};

inline void write_sparse(const std::string& path, std::uint64_t columns, const std::vector<SparseRow>& rows,
                         storage::IdKind ids = storage::IdKind::kNone) {
  storage::MatrixWriterOptions options;
  options.layout = storage::MatrixLayout::kCsr;
  options.columns = columns;
  options.id_kind = ids;
  options.source_name = "test";
  storage::MatrixWriter writer(path, options);
  for (std::uint64_t row = 0; row < rows.size(); ++row) {
    writer.append_sparse_row(rows[row].columns, rows[row].values);
    append_test_id(writer, ids, row);
  }
  writer.finish();
}

// Row r's neighbours are r+1, r+2, ... (mod the base's rows) with scores 1, 1/2, ...: top_k of them, the last row one.
inline std::vector<Neighbour> test_neighbours(std::uint64_t row, std::uint64_t rows, std::uint64_t base_rows,
                                              std::uint64_t top_k) {
  std::vector<Neighbour> found;
  for (std::uint64_t k = 0; k < (row + 1 == rows ? 1 : top_k); ++k)
    found.push_back({(row + 1 + k) % base_rows, 1.0f / static_cast<float>(k + 1)});
  return found;
}

// `base_path` empty: a self-join. Returns the hash that the writer gave.
inline std::uint64_t write_neighbours(const std::string& path, const std::string& queries_path,
                                      const std::string& base_path, std::uint64_t top_k) {
  const storage::MatrixFile queries = storage::MatrixFile::open(queries_path);
  const storage::MatrixFile base = storage::MatrixFile::open(base_path.empty() ? queries_path : base_path);
  storage::NeighboursBody body{};
  body.top_k = top_k;
  body.metric = static_cast<std::uint32_t>(Metric::kCosine);
  body.flags = base_path.empty() ? storage::kNeighboursSelfJoin : 0;
  storage::NeighboursWriter writer(path, body, queries, base_path.empty() ? nullptr : &base);
  for (std::uint64_t row = 0; row < queries.rows(); ++row)
    writer.append_row(test_neighbours(row, queries.rows(), base.rows(), top_k));
  return writer.finish();
}

// Runs `function`, which must throw an Error with this code; gives its message for more looks.
template <typename Function>
std::string expect_error(ErrorCode code, Function function) {
  try {
    function();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.what();
    EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "nothing was thrown";
  return {};
}

}  // namespace simtile::tests
