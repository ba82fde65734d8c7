// What kernels of stored rows share, whatever the elements. Internal linkage, as in avx2_survivors.h: for files that
// are compiled for AVX2.
#pragma once

#include <cstdint>

#include "engine/kernels/avx2_sum.h"
#include "engine/kernels/stored_rows.h"

namespace simtile::kernels {
namespace {

constexpr std::uint32_t kLineBytes = 64;
// A row is asked for so far ahead: without, a row's first lines are waited for, as the processor's own prefetching
// begins anew with each page.
constexpr std::uint32_t kPrefetchBytes = 1024;

// What is told of a row beside its products.
enum class RowSquare { kNone, kSum, kBound };

}  // namespace
}  // namespace simtile::kernels
