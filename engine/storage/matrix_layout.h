// The header fields of a matrix file (.emb), after the container's own: docs/file_format.md, "Matrix files".
#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/storage/container_layout.h"

namespace simtile::storage {

inline constexpr char kMatrixMagic[8] = {'S', 'I', 'M', 'T', 'E', 'M', 'B', '\n'};
inline constexpr std::uint64_t kRowAlignment = 64;

enum class MatrixLayout : std::uint32_t { kDense = 1, kCsr = 2 };

inline constexpr std::uint32_t kMatrixNormalized = 1;  // flag: every row was scaled to norm one at import

struct MatrixBody {
  std::uint32_t layout;
  std::uint32_t element_type;  // ElementType; kF32 for CSR
  std::uint64_t rows;
  std::uint64_t columns;
  std::uint64_t row_stride_bytes;  // dense: a multiple of kRowAlignment; CSR: 0
  std::uint64_t nonzeros;          // CSR: stored elements; dense: 0
  std::uint32_t id_kind;           // IdKind
  std::uint32_t flags;
};
static_assert(sizeof(MatrixBody) == 48);
static_assert(offsetof(MatrixBody, rows) == 8);
static_assert(offsetof(MatrixBody, id_kind) == 40);

}  // namespace simtile::storage
