#include "engine/storage/shared_section.h"

#include <cstring>

namespace simtile::storage {

void SharedSection::read(std::uint64_t offset, std::span<std::byte> buffer) const {
  reader_.check_range(offset, buffer.size());
  if (access_.mapped != nullptr) {
    access_.mapped->touch(*section_, offset, buffer.size());
    if (!buffer.empty()) std::memcpy(buffer.data(), access_.mapped->data(*section_) + offset, buffer.size());
  } else if (!access_.checked) {
    access_.container->read_section(*section_, offset, buffer);
  } else {
    const std::lock_guard lock(mutex_);
    reader_.read(offset, buffer);
  }
}

}  // namespace simtile::storage
