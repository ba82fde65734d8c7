#include "tools/version.h"

#include <fmt/format.h>

#include "engine/kernels/tile_kernel.h"
#include "simtile/error.h"
#include "simtile_commit.h"

namespace simtile::tools {
namespace {

bool runs_here(Isa isa) {
  try {
    kernels::select_kernel(isa);
    return true;
  } catch (const Error&) {
    return false;
  }
}

}  // namespace

std::string version_text() {
  std::string sets;
  for (const Isa isa : {Isa::kScalar, Isa::kAvx2, Isa::kAvx512})
    sets += fmt::format(" {}{}", to_string(isa), runs_here(isa) ? "" : " (not on this processor)");
  return fmt::format("simtile {}\ncommit {}\ninstruction sets:{}; auto is {}", SIMTILE_VERSION, SIMTILE_COMMIT, sets,
                     to_string(kernels::select_kernel(Isa::kAuto).isa));
}

}  // namespace simtile::tools
