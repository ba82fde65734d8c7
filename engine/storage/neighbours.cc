#include "simtile/neighbours.h"

#include <utility>

#include "engine/base/checked.h"
#include "engine/storage/generations.h"
#include "engine/storage/id_table.h"
#include "engine/storage/neighbours_file.h"
#include "engine/storage/shared_section.h"
#include "simtile/error.h"

namespace simtile {
namespace {

using storage::FileAccess;
using storage::NeighboursFile;
using storage::SharedSection;

NeighboursInfo describe(const NeighboursFile& file) {
  NeighboursInfo info;
  info.rows = file.rows();
  info.top_k = file.top_k();
  info.entries = file.neighbour_rows().bytes / sizeof(std::uint64_t);
  info.base_rows = file.base_rows();
  info.columns = file.columns();
  info.metric = file.metric();
  for (const storage::FieldEntry& field : file.load_fields())
    info.fields.push_back({field.name, field.weight, field.columns, field.query_identity, field.base_identity});
  info.renormalized = file.is_renormalized();
  info.self_join = file.is_self_join();
  info.min_score = file.min_score();
  info.query_id_kind = storage::id_kind_name(file.query_id_kind());
  info.base_id_kind = storage::id_kind_name(file.base_id_kind());
  info.query_identity = file.query_identity();
  info.base_identity = file.base_identity();
  info.rows_offset = file.neighbour_rows().offset;
  info.scores_offset = file.neighbour_scores().offset;
  info.file_bytes = file.container().header().file_bytes;
  info.identity = file.identity();
  return info;
}

}  // namespace

struct Neighbours::Generation {
  Generation(const std::string& path, const OpenOptions& options)
      : file(NeighboursFile::open(path)), info(describe(file)) {
    if (options.access == Access::kMapped)
      mapped.emplace(container(), options);
    else if (options.mode == OpenMode::kFull)
      container().verify_all();
    const FileAccess access{&container(), mapped ? &*mapped : nullptr, options.mode != OpenMode::kFast};
    query_ids.emplace(access, file.query_id_kind(), storage::kRowIds, file.rows());
    base_ids.emplace(access, file.base_id_kind(), file.is_self_join() ? storage::kRowIds : storage::kBaseRowIds,
                     file.base_rows());
    rows.emplace(access, file.neighbour_rows());
    scores.emplace(access, file.neighbour_scores());
    if (file.has_all_pairs()) row_starts.emplace(access, file.row_starts());
  }
  Generation(const Generation&) = delete;
  Generation& operator=(const Generation&) = delete;

  const storage::ContainerFile& container() const noexcept { return file.container(); }
  void check_intact() const {
    if (mapped) mapped->check_intact();
  }

  // Where a row's entries are, of all pairs.
  struct Extent {
    std::uint64_t start, count;
  };
  Extent extent(std::uint64_t row) const {
    std::uint64_t ends[2];
    row_starts->read(row * sizeof ends[0], std::as_writable_bytes(std::span(ends)));
    if (ends[0] <= ends[1] && ends[1] <= info.entries && ends[1] - ends[0] <= info.base_rows)
      return {ends[0], ends[1] - ends[0]};
    check_intact();
    throw Error(ErrorCode::kCorrupt, "'" + file.path() +
                                         "' has row starts that go backwards or beyond the end in row " +
                                         std::to_string(row) + "; run the join or search again");
  }

  void check_range(std::uint64_t first, std::uint64_t count, std::uint64_t end, const char* what) const {
    if (!fits_within(first, count, end))
      throw Error(ErrorCode::kInvalidArgument, "'" + file.path() + "' has no " + what + " " +
                                                   std::to_string(first >= end ? first : end) + "; its rows are 0 to " +
                                                   std::to_string(end - 1));
  }

  // Unused entries end a row, and the used ones name rows of the base.
  void check_rows(std::uint64_t first_row, std::span<const std::uint64_t> found) const {
    for (std::size_t i = 0; i < found.size(); ++i) {
      if (info.top_k == 0 && found[i] < info.base_rows) continue;
      const bool after_unused = info.top_k != 0 && i % info.top_k != 0 && found[i - 1] == kNoRow;
      if ((info.top_k != 0 && found[i] == kNoRow) || (found[i] < info.base_rows && !after_unused)) continue;
      check_intact();
      throw Error(ErrorCode::kCorrupt, "'" + file.path() + "' names base row " + std::to_string(found[i]) + " in row " +
                                           std::to_string(first_row + (info.top_k != 0 ? i / info.top_k : 0)) +
                                           ", out of place or beyond " + std::to_string(info.base_rows) +
                                           " rows; run the join or search again");
    }
  }

  // Entries from `first_entry` on, which is where row `first_row` begins.
  void read_entries(std::uint64_t first_entry, std::uint64_t first_row, std::span<std::uint64_t> found,
                    std::span<float> found_scores) const {
    rows->read(first_entry * sizeof found[0], std::as_writable_bytes(found));
    scores->read(first_entry * sizeof found_scores[0], std::as_writable_bytes(found_scores));
    check_rows(first_row, found);
    check_intact();
  }

  const NeighboursFile file;
  const NeighboursInfo info;
  std::optional<storage::MappedContainer> mapped;
  std::optional<storage::IdTable> query_ids, base_ids;
  std::optional<SharedSection> rows, scores;
  std::optional<SharedSection> row_starts;  // of all pairs
};

struct Neighbours::State {
  std::unique_ptr<storage::Generations<Generation>> generations;
  OpenOptions options;
};

Neighbours::Neighbours(const std::string& path, const OpenOptions& options)
    : state_(std::make_unique<State>(State{
          std::make_unique<storage::Generations<Generation>>(std::make_shared<Generation>(path, options)), options})) {}
Neighbours::Neighbours(std::unique_ptr<State> state) : state_(std::move(state)) {}
Neighbours::Neighbours(Neighbours&&) noexcept = default;
Neighbours& Neighbours::operator=(Neighbours&&) noexcept = default;
Neighbours::~Neighbours() = default;

NeighboursInfo Neighbours::info() const { return state_->generations->current()->info; }

std::vector<Neighbour> Neighbours::neighbours(std::uint64_t row) const { return neighbours(row, UINT64_MAX); }

std::vector<Neighbour> Neighbours::neighbours(std::uint64_t row, std::uint64_t most) const {
  const auto generation = state_->generations->current();
  generation->check_range(row, 1, generation->info.rows, "row");
  const std::uint64_t top_k = generation->info.top_k;
  const Generation::Extent extent = top_k != 0 ? Generation::Extent{row * top_k, top_k} : generation->extent(row);
  std::vector<std::uint64_t> rows(static_cast<std::size_t>(std::min(extent.count, most)));
  std::vector<float> scores(rows.size());
  generation->read_entries(extent.start, row, rows, scores);
  std::vector<Neighbour> found;
  for (std::size_t i = 0; i < rows.size() && rows[i] != kNoRow; ++i) found.push_back({rows[i], scores[i]});
  return found;
}

void Neighbours::read_rows(std::uint64_t first_row, std::uint64_t count, std::span<std::uint64_t> rows,
                           std::span<float> scores) const {
  const auto generation = state_->generations->current();
  generation->check_range(first_row, count, generation->info.rows, "row");
  if (generation->info.top_k == 0)
    throw Error(ErrorCode::kInvalidArgument, "'" + generation->file.path() +
                                                 "' has any number of neighbours a row, not a top K; read its rows "
                                                 "one by one");
  const std::uint64_t entries = count * generation->info.top_k;
  if (rows.size() != entries || scores.size() != entries)
    throw Error(ErrorCode::kInvalidArgument, std::to_string(count) + " rows of '" + generation->file.path() +
                                                 "' have " + std::to_string(entries) +
                                                 " entries; give room for as many");
  generation->read_entries(first_row * generation->info.top_k, first_row, rows, scores);
}

std::string Neighbours::query_id(std::uint64_t row) const {
  const auto generation = state_->generations->current();
  generation->check_range(row, 1, generation->info.rows, "row");
  std::string id = generation->query_ids->id(row);
  generation->check_intact();
  return id;
}

std::string Neighbours::base_id(std::uint64_t row) const {
  const auto generation = state_->generations->current();
  generation->check_range(row, 1, generation->info.base_rows, "base row");
  std::string id = generation->base_ids->id(row);
  generation->check_intact();
  return id;
}

std::optional<std::uint64_t> Neighbours::find(std::string_view id) const {
  const auto generation = state_->generations->current();
  const std::optional<std::uint64_t> row = generation->query_ids->find(id);
  generation->check_intact();
  return row;
}

bool Neighbours::reload() {
  return state_->generations->reload(
      [this](const Generation& old) { return std::make_shared<const Generation>(old.file.path(), state_->options); });
}

std::uint64_t Neighbours::generation() const { return state_->generations->number(); }

Neighbours Neighbours::snapshot() const {
  return Neighbours(std::make_unique<State>(State{state_->generations->snapshot(), state_->options}));
}

}  // namespace simtile
