// Writes a matrix file row by row in bounded memory and publishes it atomically (container_writer.h).
//
// Order of use: construct, append every row (and its id, if the rows have ids), finish(). Destroyed before finish(),
// nothing is left behind and an older file at `path` stays.
// Memory: about 4 MiB, plus 8 bytes for each 64 KiB written, plus 12 MiB with ids.
// Threads: one at a time.
// Errors: Error(kCorrupt) for NaN, infinity or a value that the element type cannot hold, with row and column (values
// are the input's); Error(kIo) when the system refuses.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/storage/container_writer.h"
#include "engine/storage/id_writer.h"
#include "engine/storage/matrix_layout.h"
#include "simtile/types.h"

namespace simtile::storage {

struct MatrixWriterOptions {
  MatrixLayout layout = MatrixLayout::kDense;
  ElementType element_type = ElementType::kF32;  // CSR: kF32 alone
  std::uint64_t columns = 0;                     // 1 to 2^32 - 1
  IdKind id_kind = IdKind::kNone;
  bool normalize = false;             // scale each row to norm one (a zero row stays zero)
  bool integers_as_they_are = false;  // i8: the values are integers already: keep them, with scale 1
  std::string source_name;            // named in errors about values
  Durability durability = Durability::kSynced;
};

class MatrixWriter {
 public:
  MatrixWriter(const std::string& path, const MatrixWriterOptions& options);
  MatrixWriter(const MatrixWriter&) = delete;
  MatrixWriter& operator=(const MatrixWriter&) = delete;

  // Dense: whole rows, one after the other; values.size() is a multiple of columns.
  void append_rows(std::span<const float> values);
  // CSR: one row; columns ascend strictly and are below options.columns. Zeros are dropped.
  void append_sparse_row(std::span<const std::uint32_t> columns, std::span<const float> values);

  // The next row's id. Ids and rows may be appended in any rhythm; at finish() there must be as many.
  void append_id(std::uint64_t id);
  void append_id(std::string_view id);

  std::uint64_t rows() const noexcept { return rows_; }
  // Returns the file's identity. Zero rows are an Error(kCorrupt).
  std::uint64_t finish();

 private:
  void append_dense_row(const float* values);
  [[noreturn]] void refuse_value(std::uint64_t column, float value, const std::string& why) const;
  void check_finite(std::span<const float> values, std::span<const std::uint32_t> columns) const;
  void end_csr_sections();

  MatrixWriterOptions options_;
  std::string path_;
  ContainerWriter out_;
  SectionWriter payload_;  // rows, or CSR values
  Spool columns_;
  Spool row_starts_;
  Spool scales_;
  Spool norms_;
  std::optional<IdWriter> ids_;
  std::uint64_t row_stride_bytes_ = 0;
  std::uint64_t rows_ = 0;
  std::uint64_t nonzeros_ = 0;
  std::vector<std::byte> encoded_;
  std::vector<float> scratch_;
  std::vector<std::uint32_t> kept_columns_;
};

}  // namespace simtile::storage
