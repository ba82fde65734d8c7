#include "tools/id_cache.h"

namespace simtile::tools {

BaseIdCache::BaseIdCache(const Neighbours& neighbours, std::uint64_t most_bytes) : neighbours_(&neighbours) {
  if (neighbours.info().base_id_kind == "none" || load(most_bytes)) return;
  text_ = {};
  starts_ = {};
}

bool BaseIdCache::load(std::uint64_t most_bytes) {
  const std::uint64_t rows = neighbours_->info().base_rows;
  if (rows >= most_bytes / sizeof starts_[0]) return false;
  starts_.reserve(rows + 1);
  // A third of what is left: a string that grows holds its old bytes and twice as many new ones at once.
  const std::uint64_t most_text = (most_bytes - (rows + 1) * sizeof starts_[0]) / 3;
  for (std::uint64_t row = 0; row < rows; ++row) {
    starts_.push_back(text_.size());
    text_ += neighbours_->base_id(row);
    if (text_.size() > most_text) return false;
  }
  starts_.push_back(text_.size());
  return true;
}

std::string BaseIdCache::id(std::uint64_t row) const {
  if (starts_.empty()) return neighbours_->base_id(row);
  return text_.substr(starts_[row], starts_[row + 1] - starts_[row]);
}

}  // namespace simtile::tools
