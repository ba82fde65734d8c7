#include "simtile/neighbours.h"

#include <mutex>

#include "engine/base/checked.h"
#include "engine/storage/id_table.h"
#include "engine/storage/neighbours_file.h"
#include "engine/storage/section_reader.h"
#include "simtile/error.h"

namespace simtile {
namespace {

using storage::NeighboursFile;
using storage::SectionReader;

NeighboursInfo describe(const NeighboursFile& file) {
  NeighboursInfo info;
  info.rows = file.rows();
  info.top_k = file.top_k();
  info.base_rows = file.base_rows();
  info.columns = file.columns();
  info.metric = file.metric();
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

struct Neighbours::State {
  explicit State(const std::string& path)
      : file(NeighboursFile::open(path)),
        info(describe(file)),
        query_ids(file.container(), file.query_id_kind(), storage::kRowIds, file.rows()),
        base_ids(file.container(), file.base_id_kind(), file.is_self_join() ? storage::kRowIds : storage::kBaseRowIds,
                 file.base_rows()),
        rows(file.container(), file.neighbour_rows()),
        scores(file.container(), file.neighbour_scores()) {}

  void check_range(std::uint64_t first, std::uint64_t count, std::uint64_t end, const char* what) const {
    if (!fits_within(first, count, end))
      throw Error(ErrorCode::kInvalidArgument, "'" + file.path() + "' has no " + what + " " +
                                                   std::to_string(first >= end ? first : end) + "; its rows are 0 to " +
                                                   std::to_string(end - 1));
  }

  // Unused entries end a row, and the used ones name rows of the base.
  void check_rows(std::uint64_t first_row, std::span<const std::uint64_t> found) const {
    for (std::size_t i = 0; i < found.size(); ++i) {
      const bool after_unused = i % info.top_k != 0 && found[i - 1] == kNoRow;
      if (found[i] == kNoRow || (found[i] < info.base_rows && !after_unused)) continue;
      throw Error(ErrorCode::kCorrupt, "'" + file.path() + "' names base row " + std::to_string(found[i]) + " in row " +
                                           std::to_string(first_row + i / info.top_k) + ", out of place or beyond " +
                                           std::to_string(info.base_rows) + " rows; run the join or search again");
    }
  }

  const NeighboursFile file;
  const NeighboursInfo info;
  const storage::IdTable query_ids;
  const storage::IdTable base_ids;
  std::mutex mutex;  // guards the readers below
  SectionReader rows;
  SectionReader scores;
};

Neighbours::Neighbours(const std::string& path) : state_(std::make_unique<State>(path)) {}
Neighbours::Neighbours(Neighbours&&) noexcept = default;
Neighbours& Neighbours::operator=(Neighbours&&) noexcept = default;
Neighbours::~Neighbours() = default;

const NeighboursInfo& Neighbours::info() const noexcept { return state_->info; }

std::vector<Neighbour> Neighbours::row(std::uint64_t row) const {
  state_->check_range(row, 1, info().rows, "row");
  std::vector<std::uint64_t> rows(info().top_k);
  std::vector<float> scores(info().top_k);
  read_rows(row, 1, rows, scores);
  std::vector<Neighbour> found;
  for (std::size_t i = 0; i < rows.size() && rows[i] != kNoRow; ++i) found.push_back({rows[i], scores[i]});
  return found;
}

void Neighbours::read_rows(std::uint64_t first_row, std::uint64_t count, std::span<std::uint64_t> rows,
                           std::span<float> scores) const {
  state_->check_range(first_row, count, info().rows, "row");
  const std::uint64_t entries = count * info().top_k;
  if (rows.size() != entries || scores.size() != entries)
    throw Error(ErrorCode::kInvalidArgument, std::to_string(count) + " rows of '" + state_->file.path() + "' have " +
                                                 std::to_string(entries) + " entries; give room for as many");
  const std::lock_guard lock(state_->mutex);
  const std::uint64_t first_entry = first_row * info().top_k;
  state_->rows.read(first_entry * sizeof rows[0], std::as_writable_bytes(rows));
  state_->scores.read(first_entry * sizeof scores[0], std::as_writable_bytes(scores));
  state_->check_rows(first_row, rows);
}

std::string Neighbours::query_id(std::uint64_t row) const {
  state_->check_range(row, 1, info().rows, "row");
  return state_->query_ids.id(row);
}

std::string Neighbours::base_id(std::uint64_t row) const {
  state_->check_range(row, 1, info().base_rows, "base row");
  return state_->base_ids.id(row);
}

std::optional<std::uint64_t> Neighbours::find(std::string_view id) const { return state_->query_ids.find(id); }

}  // namespace simtile
