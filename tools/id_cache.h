// The ids of base rows, by row, for an export that asks for them in no order: all of them in memory where they fit in
// the given bytes, otherwise looked up one by one in the file.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "simtile/neighbours.h"

namespace simtile::tools {

class BaseIdCache {
 public:
  BaseIdCache(const Neighbours& neighbours, std::uint64_t most_bytes);
  std::string id(std::uint64_t row) const;

 private:
  bool load(std::uint64_t most_bytes);

  const Neighbours* neighbours_;
  std::string text_;                   // all ids, one after the other
  std::vector<std::uint64_t> starts_;  // where each starts; empty when they are not kept
};

}  // namespace simtile::tools
