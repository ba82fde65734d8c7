// Rows of a sparse matrix file as they are stored: columns and values of what is not zero. Matrix decodes them to as
// many floats as there are columns, which of a few sparse rows can be more than the machine has.
//
// Threads: const methods may be called from several threads at once. Lifetime: it keeps the generation that the Matrix
// had, whatever becomes of that.
// Errors (simtile::Error): as Matrix has them; kInvalidArgument for a dense matrix.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "engine/storage/matrix_generation.h"
#include "simtile/matrix.h"

namespace simtile {

class SparseRows {
 public:
  explicit SparseRows(const Matrix& matrix);

  // Where a row's entries are among all.
  struct Extent {
    std::uint64_t row, first, count;
  };
  Extent extent(std::uint64_t row) const;
  // Both as long as the extent; columns ascend.
  void read(const Extent& extent, std::span<std::uint32_t> columns, std::span<float> values) const;
  // What was read counts only once this has not thrown: the file may have been written to meanwhile.
  void check_intact() const { generation_->check_intact(); }

 private:
  [[noreturn]] void refuse(std::uint64_t row, const std::string& why) const;

  std::shared_ptr<const storage::MatrixGeneration> generation_;
  storage::SharedSection starts_, columns_, values_;
};

}  // namespace simtile
