#include <cpuid.h>

#include <string>

#include "engine/base/os.h"
#include "engine/kernels/block_kernel.h"
#include "engine/kernels/stored_rows.h"
#include "engine/kernels/tile_kernel.h"
#include "simtile/error.h"

namespace simtile::kernels {

bool is_supported(Isa isa) noexcept {
  switch (isa) {
    case Isa::kAuto:
    case Isa::kScalar: return true;
    case Isa::kAvx2: return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    case Isa::kAvx512: return __builtin_cpu_supports("avx512f");
  }
  return false;
}

const TileKernel& select_kernel(Isa isa) {
  if (!is_supported(isa))
    throw Error(ErrorCode::kInvalidArgument,
                "this processor has no " + std::string(to_string(isa)) + "; use --isa auto");
  switch (isa) {
    case Isa::kScalar: return kScalarKernel;
    case Isa::kAvx2: return kAvx2Kernel;
    case Isa::kAvx512: return kAvx512Kernel;
    case Isa::kAuto: break;
  }
  if (is_supported(Isa::kAvx512)) return kAvx512Kernel;
  if (is_supported(Isa::kAvx2)) return kAvx2Kernel;
  return kScalarKernel;
}

bool has_matrix_unit() noexcept {
  constexpr unsigned kBfloat16Tiles = (1u << 22) | (1u << 24);  // of leaf 7, EDX: AMX-BF16, AMX-TILE
  static const bool has = [] {
    unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
    return is_supported(Isa::kAvx512) && __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) != 0 &&
           (edx & kBfloat16Tiles) == kBfloat16Tiles && os::may_use_tile_registers();
  }();
  return has;
}

bool has_bfloat16_products() noexcept {
  // Compilers take the one to imply the other.
  return is_supported(Isa::kAvx512) && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512bf16");
}

const ScreenKernel& select_screen_kernel(Isa isa) {
  return isa == Isa::kAuto && has_matrix_unit() ? kAmxScreen : select_kernel(isa).screen;
}

const ScreenKernel& select_look_kernel(Isa isa) {
  const bool in_vectors = isa == Isa::kAuto && !has_matrix_unit() && has_bfloat16_products();
  return in_vectors ? kAvx512Bf16Screen : select_screen_kernel(isa);
}

const BlockKernel& block_kernel_of(const TileKernel& kernel) noexcept {
  switch (kernel.isa) {
    case Isa::kAvx512: return kAvx512BlockKernel;
    case Isa::kAvx2: return kAvx2BlockKernel;
    default: return kScalarBlockKernel;
  }
}

namespace {

bool has_f16c() noexcept {
  static const bool has = [] {
    unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
    return __get_cpuid(1, &eax, &ebx, &ecx, &edx) != 0 && (ecx & bit_F16C) != 0;
  }();
  return has;
}

}  // namespace

MultiplyStoredRows multiply_stored_rows_of(const TileKernel& kernel, ElementType type) noexcept {
  const StoredRowsKernel& set = kernel.isa == Isa::kScalar || !has_f16c() ? kScalarStoredRows : kAvx2StoredRows;
  switch (type) {
    case ElementType::kF32: return set.f32;
    case ElementType::kF16: return set.f16;
    case ElementType::kBF16: return set.bf16;
    case ElementType::kI8: return set.i8;
    case ElementType::kU8: return set.u8;
  }
  return set.f32;
}

}  // namespace simtile::kernels
