// Foreign files for the import tests, byte by byte, and looks at what became of them.
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

#include "simtile/import.h"
#include "simtile/matrix.h"
#include "tests/test_files.h"

namespace simtile::tests {

template <typename T>
std::string bytes_of(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

template <typename T>
std::string bytes_of(T value) {
  return bytes_of(std::vector<T>{value});
}

// A .npy file as NumPy writes it: the header padded with spaces to a multiple of 64 bytes.
inline std::string npy_bytes(const std::string& descr, const std::string& shape, const std::string& payload,
                             int version = 1, const std::string& fortran = "False") {
  std::string header = "{'descr': '" + descr + "', 'fortran_order': " + fortran + ", 'shape': " + shape + ", }";
  const std::size_t before = version == 1 ? 10 : 12;
  while ((before + header.size() + 1) % 64 != 0) header += ' ';
  header += '\n';
  const std::string length = version == 1 ? bytes_of(static_cast<std::uint16_t>(header.size()))
                                          : bytes_of(static_cast<std::uint32_t>(header.size()));
  return std::string("\x93NUMPY") + static_cast<char>(version) + '\0' + length + header + payload;
}

inline std::vector<float> row_of(const Matrix& matrix, std::uint64_t row) {
  std::vector<float> values(matrix.columns());
  matrix.read_row(row, values);
  return values;
}

// Imports bytes under a name and gives the matrix back.
struct Imported {
  ImportSummary summary;
  Matrix matrix;
};

inline Imported import_bytes(const TempFolder& folder, const std::string& name, const std::string& bytes,
                             const ImportOptions& options = {}) {
  write_bytes(folder / name, bytes);
  ImportSummary summary = import_matrix(folder / name, folder / "out.emb", options);
  return {summary, Matrix(folder / "out.emb")};
}

// The message with which such a file is refused; nothing may be left behind.
inline std::string refuse_bytes(const TempFolder& folder, const std::string& name, const std::string& bytes,
                                const ImportOptions& options = {}, ErrorCode code = ErrorCode::kCorrupt) {
  write_bytes(folder / name, bytes);
  const std::string message = expect_error(code, [&] { import_matrix(folder / name, folder / "none.emb", options); });
  for (const auto& entry : std::filesystem::directory_iterator(folder.path()))
    EXPECT_EQ(entry.path().filename().string().find("none.emb"), std::string::npos) << entry.path();
  return message;
}

// Every proper prefix of the file must be refused.
inline void expect_all_prefixes_refused(const TempFolder& folder, const std::string& name, const std::string& bytes,
                                        const ImportOptions& options = {}) {
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    SCOPED_TRACE("the first " + std::to_string(length) + " of " + std::to_string(bytes.size()) + " bytes");
    refuse_bytes(folder, name, bytes.substr(0, length), options);
  }
}

}  // namespace simtile::tests
