// Kernels for a first look at the pairs of a few queries: inner products with base rows where they lie in the file,
// whatever their element type. The contract is tile_kernel.h's (no policy, edges are the kernel's job, nothing inline
// that another file could share), but for one thing: sums are taken in any order, so that a vector holds dimensions
// instead of pairs. They are for bounds, never for scores (screen/few_query_look.h).
#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/kernels/tile_kernel.h"

namespace simtile::kernels {

// Integers meet integers: a query for rows of i8 and u8 is rounded to 16 bits, of which -32768 is not used.
inline constexpr std::int16_t kLargestQueryInteger = 32767;

struct StoredRows {
  const float* queries;                 // query_count rows of dims, one after the other
  const std::int16_t* integer_queries;  // the same, in units that the caller knows: what i8 and u8 take
  const std::byte* base_rows;           // base_count rows of dims elements; of i8, without their scales
  std::size_t base_row_stride;          // bytes
  std::uint32_t dims;
  std::uint32_t query_count;
  std::uint32_t base_count;
  bool exact_squares;  // else an upper bound is enough, which takes less time
  float* products;     // query_count x base_count
  float* squares;      // base_count: each base row's product with itself, or no less
};
// Each of the sums is of at most dims + 16 rounded steps.
using MultiplyStoredRows = void (*)(const StoredRows& rows);

// One for each element type.
struct StoredRowsKernel {
  MultiplyStoredRows f32, f16, bf16, i8, u8;
};

extern const StoredRowsKernel kScalarStoredRows;
extern const StoredRowsKernel kAvx2StoredRows;  // AVX2, FMA and F16C

// The one that goes with a kernel that select_kernel() gave: bound by the speed of memory, so AVX2's serves AVX-512
// too.
MultiplyStoredRows multiply_stored_rows_of(const TileKernel& kernel, ElementType type) noexcept;

}  // namespace simtile::kernels
