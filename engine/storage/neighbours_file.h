// A neighbours file, opened and checked down to the size of every section, without reading the payload.
//
// Threads: const methods may be called from several threads at once. Lifetime: sections point into this object.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/storage/container_file.h"
#include "engine/storage/neighbours_layout.h"
#include "simtile/types.h"

namespace simtile::storage {

class NeighboursFile {
 public:
  // Throws Error(kIo) or Error(kCorrupt).
  static NeighboursFile open(const std::string& path);

  const std::string& path() const noexcept { return container_.path(); }
  const ContainerFile& container() const noexcept { return container_; }
  std::uint64_t identity() const noexcept { return container_.identity(); }

  std::uint64_t rows() const noexcept { return body_.rows; }
  std::uint64_t top_k() const noexcept { return body_.top_k; }
  std::uint64_t base_rows() const noexcept { return body_.base_rows; }
  std::uint64_t columns() const noexcept { return body_.columns; }
  Metric metric() const noexcept { return static_cast<Metric>(body_.metric); }
  bool is_self_join() const noexcept { return (body_.flags & kNeighboursSelfJoin) != 0; }
  std::optional<float> min_score() const noexcept {
    if ((body_.flags & kNeighboursMinScore) == 0) return std::nullopt;
    return body_.min_score;
  }
  // Of a join by threshold: top_k() is 0, and row_starts() frames each row's entries.
  bool has_all_pairs() const noexcept { return (body_.flags & kNeighboursAllPairs) != 0; }
  const SectionEntry& row_starts() const noexcept { return *container_.find_section(SectionKind::kRowStarts); }
  bool has_fields() const noexcept { return (body_.flags & kNeighboursFields) != 0; }
  bool is_renormalized() const noexcept { return (body_.flags & kNeighboursRenormalized) != 0; }
  // Reads the section of fields; none of a file without them.
  std::vector<FieldEntry> load_fields() const;
  IdKind query_id_kind() const noexcept { return static_cast<IdKind>(body_.query_id_kind); }
  IdKind base_id_kind() const noexcept { return is_self_join() ? query_id_kind() : stored_base_id_kind(); }
  std::uint64_t query_identity() const noexcept { return body_.query_identity; }
  std::uint64_t base_identity() const noexcept { return body_.base_identity; }

  const SectionEntry& neighbour_rows() const noexcept { return *container_.find_section(SectionKind::kNeighbourRows); }
  const SectionEntry& neighbour_scores() const noexcept {
    return *container_.find_section(SectionKind::kNeighbourScores);
  }

 private:
  IdKind stored_base_id_kind() const noexcept { return static_cast<IdKind>(body_.base_id_kind); }
  void check_fields() const;
  void check_sections() const;

  ContainerFile container_;
  NeighboursBody body_{};
};

}  // namespace simtile::storage
