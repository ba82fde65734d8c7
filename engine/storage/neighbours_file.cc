#include "engine/storage/neighbours_file.h"

#include <cmath>
#include <cstring>

#include "engine/base/checked.h"
#include "engine/storage/id_table.h"
#include "engine/storage/section_reader.h"
#include "simtile/error.h"

namespace simtile::storage {
namespace {

[[noreturn]] void refuse_neighbours(const std::string& path, const std::string& why) {
  throw Error(ErrorCode::kCorrupt, "'" + path + "' " + why + "; run the join or search again");
}

}  // namespace

NeighboursFile NeighboursFile::open(const std::string& path) {
  NeighboursFile neighbours;
  neighbours.container_ = ContainerFile::open(path, kNeighboursMagic, "neighbours file");
  std::memcpy(&neighbours.body_, neighbours.container_.header().body, sizeof neighbours.body_);
  neighbours.check_fields();
  neighbours.check_sections();
  return neighbours;
}

void NeighboursFile::check_fields() const {
  if (body_.rows == 0 || (body_.top_k == 0) != has_all_pairs() || body_.base_rows == 0)
    refuse_neighbours(path(), "says it has " + std::to_string(body_.rows) + " rows of " + std::to_string(body_.top_k) +
                                  " neighbours among " + std::to_string(body_.base_rows));
  if (body_.columns == 0 || (!has_fields() && body_.columns >= (std::uint64_t{1} << 32)))
    refuse_neighbours(path(), "says its matrices have " + std::to_string(body_.columns) + " columns");
  if (to_string(metric()) == "unknown")
    refuse_neighbours(path(), "has an unknown metric, " + std::to_string(body_.metric));
  if ((body_.flags & ~(kNeighboursSelfJoin | kNeighboursMinScore | kNeighboursFields | kNeighboursRenormalized |
                       kNeighboursAllPairs)) != 0 ||
      body_.reserved != 0)
    refuse_neighbours(path(), "has unknown flags, " + std::to_string(body_.flags));
  // Without its flag the field is zero, to the bit: negative zero would give one answer two files.
  std::uint32_t min_score_bits = 0;
  std::memcpy(&min_score_bits, &body_.min_score, sizeof min_score_bits);
  if (min_score().has_value() ? std::isnan(body_.min_score) : min_score_bits != 0)
    refuse_neighbours(path(), "has a least score that is no number, or one that nothing uses");
  if (is_self_join() && (body_.base_rows != body_.rows || body_.base_identity != body_.query_identity ||
                         stored_base_id_kind() != IdKind::kNone))
    refuse_neighbours(path(), "says it is a self-join, but names two different matrices");
}

void NeighboursFile::check_sections() const {
  const auto times = [&](std::uint64_t a, std::uint64_t b) {
    return checked_multiply(a, b, ErrorCode::kCorrupt, "'" + path() + "' neighbours");
  };
  const SectionEntry* starts = container_.find_section(SectionKind::kRowStarts);
  if ((starts != nullptr) != has_all_pairs() || (has_all_pairs() && !min_score()))
    refuse_neighbours(path(),
                      "says it has all pairs without row starts or a least score, or has row starts for nothing");
  std::uint64_t entries = times(body_.rows, body_.top_k);
  if (has_all_pairs()) {
    container_.require_section(SectionKind::kRowStarts, times(body_.rows + 1, sizeof(std::uint64_t)));
    const SectionEntry* rows = container_.find_section(SectionKind::kNeighbourRows);
    entries = rows != nullptr ? rows->bytes / sizeof(std::uint64_t) : 0;
  }
  container_.require_section(SectionKind::kNeighbourRows, times(entries, sizeof(std::uint64_t)));
  container_.require_section(SectionKind::kNeighbourScores, times(entries, sizeof(float)));
  const SectionEntry* fields = container_.find_section(SectionKind::kFields);
  if ((fields != nullptr) != has_fields() ||
      (has_fields() && (fields->bytes == 0 || fields->bytes % sizeof(FieldEntry) != 0)))
    refuse_neighbours(path(), "says it has fields and gives none, or gives fields that it does not say it has");
  check_id_sections(container_, check_id_kind(container_, body_.query_id_kind), kRowIds, body_.rows);
  check_id_sections(container_, check_id_kind(container_, body_.base_id_kind), kBaseRowIds, body_.base_rows);
}

std::vector<FieldEntry> NeighboursFile::load_fields() const {
  if (!has_fields()) return {};
  const SectionEntry& section = *container_.find_section(SectionKind::kFields);
  std::vector<FieldEntry> fields(static_cast<std::size_t>(section.bytes / sizeof(FieldEntry)));
  SectionReader(container_, section).read(0, std::as_writable_bytes(std::span(fields)));
  for (const FieldEntry& field : fields)
    if (field.name[kMostFieldNameBytes] != '\0' || !std::isfinite(field.weight) || field.weight == 0.0f)
      refuse_neighbours(path(), "has a field whose name or weight makes no sense");
  return fields;
}

}  // namespace simtile::storage
