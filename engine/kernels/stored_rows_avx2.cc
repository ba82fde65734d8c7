// AVX2, FMA and F16C: base rows in the file's own element types meet up to four queries at once. Nothing from the
// standard library may be instantiated here: this file's flags must not leak into shared inline code.
#include "engine/kernels/avx2_stored_floats.h"
#include "engine/kernels/avx2_stored_integers.h"
#include "engine/kernels/stored_rows.h"

namespace simtile::kernels {
namespace {

constexpr std::uint32_t kQueriesAtOnce = 4;

// Rows that come from memory pass one at a time, as one stream, which is read a third faster than two.
template <typename Element, std::uint32_t kQueries, RowSquare kSquare>
void multiply_from_memory(const StoredRows& rows) {
  for (std::uint32_t row = 0; row < rows.base_count; ++row) {
    const std::byte* const base[1] = {rows.base_rows + row * rows.base_row_stride};
    multiply_block<Element, kQueries, 1, kSquare, true>(rows, base, 0, row, 1);
  }
}

// Rows that the first queries brought near pass in twos, for which queries are loaded once.
template <typename Element, std::uint32_t kQueries>
void multiply_near(const StoredRows& rows, std::uint32_t first_query) {
  constexpr std::uint32_t kRows = 2;
  for (std::uint32_t row = 0; row < rows.base_count; row += kRows) {
    const std::uint32_t count = rows.base_count - row < kRows ? rows.base_count - row : kRows;
    const std::byte* const base[kRows] = {rows.base_rows + row * rows.base_row_stride,
                                          rows.base_rows + (row + count - 1) * rows.base_row_stride};
    multiply_block<Element, kQueries, kRows, RowSquare::kNone, false>(rows, base, first_query, row, count);
  }
}

template <typename Element, RowSquare kSquare>
void multiply_first(const StoredRows& rows) {
  switch (rows.query_count) {
    case 0: return;
    case 1: return multiply_from_memory<Element, 1, kSquare>(rows);
    case 2: return multiply_from_memory<Element, 2, kSquare>(rows);
    case 3: return multiply_from_memory<Element, 3, kSquare>(rows);
    default: return multiply_from_memory<Element, kQueriesAtOnce, kSquare>(rows);
  }
}

// Four queries stay in the first-level cache while base rows pass, from the second level but for the first time.
template <typename Element>
void multiply(const StoredRows& rows) {
  if (rows.exact_squares)
    multiply_first<Element, RowSquare::kSum>(rows);
  else
    multiply_first<Element, RowSquare::kBound>(rows);
  std::uint32_t query = kQueriesAtOnce;
  for (; query + kQueriesAtOnce <= rows.query_count; query += kQueriesAtOnce)
    multiply_near<Element, kQueriesAtOnce>(rows, query);
  if (query >= rows.query_count) return;
  switch (rows.query_count - query) {
    case 1: return multiply_near<Element, 1>(rows, query);
    case 2: return multiply_near<Element, 2>(rows, query);
    default: return multiply_near<Element, 3>(rows, query);
  }
}

}  // namespace

const StoredRowsKernel kAvx2StoredRows{
    .f32 = multiply<F32>,
    .f16 = multiply<F16>,
    .bf16 = multiply<BF16>,
    .i8 = multiply<I8>,
    .u8 = multiply<U8>,
};

}  // namespace simtile::kernels
