// A screen file, opened and checked down to the size of every section, without reading the payload.
//
// Threads: const methods may be called from several threads at once. Lifetime: sections point into this object.
#pragma once

#include <cstdint>
#include <string>

#include "engine/storage/container_file.h"
#include "engine/storage/screen_layout.h"

namespace simtile::storage {

class ScreenFile {
 public:
  // Throws Error(kIo) or Error(kCorrupt).
  static ScreenFile open(const std::string& path);

  const ContainerFile& container() const noexcept { return container_; }
  const ScreenBody& body() const noexcept { return body_; }
  std::uint64_t steps() const noexcept { return body_.prefix_dims / kScreenStep; }
  const SectionEntry& section(SectionKind kind) const noexcept { return *container_.find_section(kind); }

 private:
  ContainerFile container_;
  ScreenBody body_{};
};

}  // namespace simtile::storage
