// XXH3-64 of a block, by the widest instruction set that this processor has: every byte that is read passes through it
// once. The same xxHash code compiled for each set, so the same hash.
#pragma once

#include <cstddef>
#include <cstdint>

namespace simtile::storage {

std::uint64_t hash_block(const void* bytes, std::size_t count) noexcept;

// One sealed file each; hash_block() chooses.
std::uint64_t hash_block_avx2(const void* bytes, std::size_t count) noexcept;
std::uint64_t hash_block_avx512(const void* bytes, std::size_t count) noexcept;

}  // namespace simtile::storage
