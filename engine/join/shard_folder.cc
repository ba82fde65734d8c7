#include "engine/join/shard_folder.h"

#include <xxhash.h>

#include <charconv>

#include "engine/base/os.h"

namespace simtile::join {

std::string shard_path(const std::string& work_path, const Shard& shard) {
  return work_path + "/shard-" + std::to_string(shard.number) + "-of-" + std::to_string(shard.count);
}

std::string merge_path(const std::string& work_path) { return work_path + "/merge-of-shards"; }

std::optional<Shard> shard_of_name(const std::string& name) {
  Shard shard{0, 0};
  const char* const end = name.data() + name.size();
  if (!name.starts_with("shard-")) return std::nullopt;
  const auto number = std::from_chars(name.data() + std::string_view("shard-").size(), end, shard.number);
  if (number.ec != std::errc{} || !std::string_view(number.ptr, end).starts_with("-of-")) return std::nullopt;
  const auto count = std::from_chars(number.ptr + std::string_view("-of-").size(), end, shard.count);
  if (count.ec != std::errc{} || shard.number == 0 || shard.number > shard.count || shard.count > kMostShards ||
      shard_path("", shard) != "/" + name)
    return std::nullopt;
  return shard;
}

std::string make_shard_path(const std::string& work_path, const Shard& shard) {
  os::make_directory(work_path);
  return shard_path(work_path, shard);
}

RunScope shard_scope(std::uint64_t job_identity, const plan::Shapes& shapes, const Shard& shard) noexcept {
  const std::uint64_t parts[] = {job_identity,       shard.number,        shard.count,      shapes.query_begin(),
                                 shapes.query_end(), shapes.base_begin(), shapes.base_end()};
  return {XXH3_64bits(parts, sizeof parts), shapes.query_rows, shapes.base_rows};
}

}  // namespace simtile::join
