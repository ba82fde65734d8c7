#include "engine/storage/block_hash.h"

#include <xxhash.h>

namespace simtile::storage {
namespace {

using Hash = std::uint64_t (*)(const void* bytes, std::size_t count) noexcept;

std::uint64_t hash_block_baseline(const void* bytes, std::size_t count) noexcept { return XXH3_64bits(bytes, count); }

Hash widest() noexcept {
  if (__builtin_cpu_supports("avx512f")) return hash_block_avx512;
  if (__builtin_cpu_supports("avx2")) return hash_block_avx2;
  return hash_block_baseline;
}

}  // namespace

std::uint64_t hash_block(const void* bytes, std::size_t count) noexcept {
  static const Hash hash = widest();
  return hash(bytes, count);
}

}  // namespace simtile::storage
