// A matrix file, opened and checked down to the size of every section, without reading the payload.
//
// Threads: const methods may be called from several threads at once. Lifetime: sections point into this object.
#pragma once

#include <cstdint>
#include <string>

#include "engine/storage/container_file.h"
#include "engine/storage/matrix_layout.h"
#include "simtile/types.h"

namespace simtile::storage {

class MatrixFile {
 public:
  // Throws Error(kIo) or Error(kCorrupt).
  static MatrixFile open(const std::string& path);

  const std::string& path() const noexcept { return container_.path(); }
  const ContainerFile& container() const noexcept { return container_; }
  std::uint64_t identity() const noexcept { return container_.identity(); }

  std::uint64_t rows() const noexcept { return body_.rows; }
  std::uint64_t columns() const noexcept { return body_.columns; }
  bool is_sparse() const noexcept { return body_.layout == static_cast<std::uint32_t>(MatrixLayout::kCsr); }
  ElementType element_type() const noexcept { return static_cast<ElementType>(body_.element_type); }
  std::uint64_t row_stride_bytes() const noexcept { return body_.row_stride_bytes; }
  std::uint64_t nonzeros() const noexcept { return body_.nonzeros; }
  IdKind id_kind() const noexcept { return static_cast<IdKind>(body_.id_kind); }
  bool is_normalized() const noexcept { return (body_.flags & kMatrixNormalized) != 0; }

  // The section of the given kind, or null where the file has none.
  const SectionEntry* section(SectionKind kind) const noexcept { return container_.find_section(kind); }

 private:
  void check_dense() const;
  void check_csr() const;

  ContainerFile container_;
  MatrixBody body_{};
};

}  // namespace simtile::storage
