#include "engine/storage/id_table.h"

#include <xxhash.h>

#include <charconv>

#include "engine/base/checked.h"
#include "simtile/error.h"

namespace simtile::storage {
namespace {

std::optional<std::uint64_t> parse_u64(std::string_view text) noexcept {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

const char* id_kind_name(IdKind kind) noexcept {
  switch (kind) {
    case IdKind::kNone: return "none";
    case IdKind::kU64: return "u64";
    case IdKind::kString: return "string";
  }
  return "unknown";
}

IdKind check_id_kind(const ContainerFile& container, std::uint32_t stored) {
  if (stored <= static_cast<std::uint32_t>(IdKind::kString)) return static_cast<IdKind>(stored);
  throw Error(ErrorCode::kCorrupt,
              "'" + container.path() + "' has an unknown kind of ids, " + std::to_string(stored) + "; make it again");
}

void check_id_sections(const ContainerFile& container, IdKind kind, const IdSections& sections, std::uint64_t rows) {
  if (kind == IdKind::kNone) return;
  const auto bytes = [&](std::uint64_t count, std::uint64_t each) {
    return checked_multiply(count, each, ErrorCode::kCorrupt, "'" + container.path() + "' ids");
  };
  if (kind == IdKind::kU64)
    container.require_section(sections.ids, bytes(rows, sizeof(std::uint64_t)));
  else
    container.require_section(sections.offsets,
                              bytes(checked_add(rows, 1, ErrorCode::kCorrupt, "ids"), sizeof(std::uint64_t)));
  if (container.find_section(sections.ids) == nullptr)
    throw Error(ErrorCode::kCorrupt, "'" + container.path() + "' has no section of ids; make it again");
  container.require_section(sections.index, bytes(rows, sizeof(IdIndexEntry)));
}

IdTable::IdTable(const FileAccess& access, IdKind kind, const IdSections& sections, std::uint64_t rows)
    : container_(access.container), kind_(kind), rows_(rows) {
  if (kind == IdKind::kNone) return;
  ids_.emplace(access, *container_->find_section(sections.ids));
  index_.emplace(access, *container_->find_section(sections.index));
  if (kind == IdKind::kString) offsets_.emplace(access, *container_->find_section(sections.offsets));
}

std::string IdTable::id(std::uint64_t row) const {
  return kind_ == IdKind::kNone ? std::to_string(row) : stored_id(row);
}

std::string IdTable::stored_id(std::uint64_t row) const {
  if (kind_ == IdKind::kU64) return std::to_string(ids_->read_value<std::uint64_t>(row));
  const auto begin = offsets_->read_value<std::uint64_t>(row);
  const auto end = offsets_->read_value<std::uint64_t>(row + 1);
  if (begin > end || end > ids_->bytes())
    throw Error(ErrorCode::kCorrupt,
                "'" + container_->path() + "' has an id that ends before it starts, in row " + std::to_string(row));
  std::string id(static_cast<std::size_t>(end - begin), '\0');
  ids_->read(begin, std::as_writable_bytes(std::span(id)));
  return id;
}

// The hashes are uniform, so the entry stands close to hash / 2^64 of the way in; the bounds then close in from both
// sides. Alternating with bisection keeps hostile tables logarithmic.
std::optional<std::uint64_t> IdTable::find(std::string_view id) const {
  std::uint64_t as_number = 0;
  std::string_view bytes = id;
  if (kind_ != IdKind::kString) {
    const std::optional<std::uint64_t> parsed = parse_u64(id);
    if (!parsed) return std::nullopt;
    if (kind_ == IdKind::kNone) return *parsed < rows_ ? parsed : std::nullopt;
    as_number = *parsed;
    bytes = {reinterpret_cast<const char*>(&as_number), sizeof as_number};
  }
  const std::uint64_t hash = XXH3_64bits(bytes.data(), bytes.size());
  std::uint64_t low = 0;
  std::uint64_t high = rows_;  // the first entry with a hash not below ours is in [low, high]
  std::uint64_t low_hash = 0;
  std::uint64_t high_hash = UINT64_MAX;
  for (bool interpolate = true; low < high; interpolate = !interpolate) {
    std::uint64_t probe = low + (high - low) / 2;
    if (interpolate && low_hash <= hash && hash <= high_hash && low_hash < high_hash) {
      const double share = static_cast<double>(hash - low_hash) / static_cast<double>(high_hash - low_hash);
      probe = std::min(high - 1, low + static_cast<std::uint64_t>(share * static_cast<double>(high - low)));
    }
    const auto entry = index_->read_value<IdIndexEntry>(probe);
    if (entry.hash < hash) {
      low = probe + 1;
      low_hash = entry.hash;
    } else {
      high = probe;
      high_hash = entry.hash;
    }
  }
  for (; low < rows_; ++low) {
    const auto entry = index_->read_value<IdIndexEntry>(low);
    if (entry.hash != hash) break;
    if (entry.row < rows_ && stored_id(entry.row) == id) return entry.row;
  }
  return std::nullopt;
}

}  // namespace simtile::storage
