// A matrix file, opened read-only: its rows and ids.
//
// Threads: const methods and reload() may be called from several threads at once. Lifetime: values are copies and
// outlive the Matrix, but for mapped_rows(). A moved-from Matrix may only be destroyed or assigned to.
// Generations: a file that is replaced (renamed over) keeps being read in its old version until reload() swaps the new
// one in. Calls under way finish on the generation that they began with.
// Errors (simtile::Error): kIo, kCorrupt (damaged, or written to or cut while it was open), kInvalidArgument (a row
// that does not exist).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "simtile/open.h"
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
  explicit Matrix(const std::string& path, const OpenOptions& options = {});
  Matrix(Matrix&&) noexcept;
  Matrix& operator=(Matrix&&) noexcept;
  ~Matrix();

  MatrixInfo info() const;
  std::uint64_t rows() const;
  std::uint64_t columns() const;

  // One row as f32.
  std::vector<float> row(std::uint64_t row) const;
  // The same into room of the caller's; values.size() == columns().
  void read_row(std::uint64_t row, std::span<float> values) const;
  // What the user calls the row; its number where the matrix has no ids.
  std::string id(std::uint64_t row) const;
  // The first row with this id (its number where the matrix has no ids).
  std::optional<std::uint64_t> find(std::string_view id) const;

  // The rows of a dense matrix as they lie in the mapped file, row_stride_bytes apart, in the file's element type;
  // empty when sparse or streamed. Not checked: open with kFull for that. Holds while this Matrix or a snapshot() lives
  // and no reload() swaps: keep a snapshot beside it.
  std::span<const std::byte> mapped_rows() const;

  // Swaps the new file in when the path names another one than what is open (device, inode, length or time of change),
  // and says whether it did. When the new file cannot be opened it throws, and the old one stays.
  bool reload();
  // 1, and one more for each reload() that swapped.
  std::uint64_t generation() const;
  // Another handle on the generation of now, which stays whatever becomes of this one. Cheap; maps nothing.
  Matrix snapshot() const;

 private:
  friend class Searcher;
  friend class SparseRows;  // tools/python/sparse_rows.h
  struct Generation;
  struct State;
  explicit Matrix(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace simtile
