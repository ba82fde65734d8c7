// A matrix file, opened read-only. Opening reads one page and checks it; rows and ids are read when asked for, and each
// block that a call touches is checked against its checksum first.
//
// Threads: const methods may be called from several threads at once. Lifetime: values are copies and outlive the
// Matrix. A file that is replaced (renamed over) keeps being read in its old version until it is opened again. Errors
// (simtile::Error): kIo, kCorrupt, kInvalidArgument (a row that does not exist).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "simtile/types.h"

namespace simtile {

struct MatrixInfo {
  std::uint64_t rows = 0, columns = 0;
  ElementType element_type = ElementType::kF32;
  bool sparse = false;
  bool normalized = false;             // rows were scaled to norm one at import
  std::uint64_t nonzeros = 0;          // sparse only
  std::uint64_t row_stride_bytes = 0;  // dense only
  std::uint64_t payload_offset = 0;    // of the rows (dense) or values (sparse) in the file, bytes
  std::string id_kind;                 // "none", "u64" or "string"
  std::uint64_t file_bytes = 0;
  std::uint64_t identity = 0;  // the header's XXH3: differs whenever the content does
};

class Matrix {
 public:
  explicit Matrix(const std::string& path);
  Matrix(Matrix&&) noexcept;
  Matrix& operator=(Matrix&&) noexcept;
  ~Matrix();

  const MatrixInfo& info() const noexcept;
  std::uint64_t rows() const noexcept { return info().rows; }
  std::uint64_t columns() const noexcept { return info().columns; }

  // Decodes one row to f32; values.size() == columns().
  void read_row(std::uint64_t row, std::span<float> values) const;
  // What the user calls the row; its number where the matrix has no ids.
  std::string id(std::uint64_t row) const;
  // The first row with this id (its number where the matrix has no ids).
  std::optional<std::uint64_t> find(std::string_view id) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace simtile
