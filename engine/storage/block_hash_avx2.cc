#define XXH_INLINE_ALL  // in this file alone, with its instruction set
#include <xxhash.h>

#include "engine/storage/block_hash.h"

namespace simtile::storage {

std::uint64_t hash_block_avx2(const void* bytes, std::size_t count) noexcept { return XXH3_64bits(bytes, count); }

}  // namespace simtile::storage
