// The rows of a mapped dense matrix as a metric takes them: f32, scaled to norm one for a cosine.
//
// Threads: all methods may be called from several threads at once. Lifetime: the generation must outlive it.
#pragma once

#include <cstdint>

#include "engine/storage/matrix_generation.h"
#include "simtile/types.h"

namespace simtile::search {

class BaseRows {
 public:
  // The matrix is dense and mapped.
  BaseRows(const storage::MatrixGeneration& matrix, Metric metric);

  std::uint64_t rows() const noexcept { return rows_; }
  std::uint64_t dims() const noexcept { return dims_; }

  struct View {
    const float* values;
    std::size_t stride;  // floats from row to row
  };
  // Rows [first, first + count), where they lie when that is what is wanted, else decoded into `room` (count x dims
  // floats). Checks blocks that were not checked before: throws Error(kCorrupt).
  View view(std::uint64_t first, std::uint64_t count, float* room) const;

  // Whether the rows can be looked at as they are stored: of a cosine, the file has their norms.
  bool has_factors() const noexcept { return !unit_norm_ || norm_section_ != nullptr; }
  // The rows as they are stored, stride_bytes from row to row, and in `factors` (count of them) what their values are
  // multiplied by. Checks blocks as view() does.
  struct StoredView {
    const std::byte* rows;
    std::size_t stride_bytes;
  };
  StoredView stored_view(std::uint64_t first, std::uint64_t count, double* factors) const;
  ElementType type() const noexcept { return type_; }
  // One row of those that a view was taken of, as view() gives it.
  void decode(std::uint64_t row, float* values) const noexcept;

  // Makes a query what a cosine takes.
  static void scale_to_unit(float* values, std::size_t count) noexcept;

 private:
  void check(std::uint64_t first, std::uint64_t count) const;

  const storage::MappedContainer* mapped_;
  const storage::SectionEntry* row_section_;
  const storage::SectionEntry* scale_section_;  // i8 alone, else null
  const storage::SectionEntry* norm_section_;   // cosine where the file has norms, else null
  ElementType type_;
  bool unit_norm_;
  std::uint64_t rows_, dims_, stride_bytes_;
};

}  // namespace simtile::search
