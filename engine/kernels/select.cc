#include <string>

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

}  // namespace simtile::kernels
