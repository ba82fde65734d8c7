#include "engine/storage/neighbours_writer.h"

#include <xxhash.h>

#include <algorithm>
#include <limits>
#include <memory>

#include "engine/base/checked.h"
#include "engine/storage/id_table.h"
#include "engine/storage/section_reader.h"
#include "simtile/error.h"

namespace simtile::storage {
namespace {

constexpr std::size_t kPieceBytes = kBlockBytes;

NeighboursBody filled_in(NeighboursBody body, std::span<const FieldEntry> fields, const MatrixFile& queries,
                         const MatrixFile* base) {
  const MatrixFile& neighbours_of = base != nullptr ? *base : queries;
  body.rows = queries.rows();
  body.columns = queries.columns();
  body.base_rows = neighbours_of.rows();
  body.query_id_kind = static_cast<std::uint32_t>(queries.id_kind());
  body.base_id_kind = static_cast<std::uint32_t>(base != nullptr ? base->id_kind() : IdKind::kNone);
  body.query_identity = queries.identity();
  body.base_identity = neighbours_of.identity();
  if (fields.empty()) return body;
  body.columns = 0;
  std::vector<std::uint64_t> query_identities, base_identities;
  for (const FieldEntry& field : fields) {
    body.columns += field.columns;
    query_identities.push_back(field.query_identity);
    base_identities.push_back(field.base_identity);
  }
  body.query_identity = XXH3_64bits(query_identities.data(), query_identities.size() * sizeof(std::uint64_t));
  body.base_identity = XXH3_64bits(base_identities.data(), base_identities.size() * sizeof(std::uint64_t));
  return body;
}

std::uint64_t scores_offset(const NeighboursBody& body, const std::string& path) {
  const std::string what = "the neighbours of '" + path + "'";
  const std::uint64_t entries = checked_multiply(body.rows, body.top_k, ErrorCode::kInvalidArgument, what);
  // Sixteen bytes an entry instead of eight: then the rounding, the scores and the header cannot wrap either.
  checked_multiply(entries, 16, ErrorCode::kInvalidArgument, what);
  return kHeaderBytes + round_up(entries * sizeof(std::uint64_t), kSectionAlignment);
}

// Copies one section, checking each block against its checksum on the way.
void copy_section(const MatrixFile& from, SectionKind kind, ContainerWriter& out, SectionKind as_kind) {
  SectionReader reader(from.container(), *from.section(kind));
  SectionWriter writer = out.begin_section(as_kind);
  std::vector<std::byte> piece(kPieceBytes);
  for (std::uint64_t at = 0; at < reader.bytes(); at += piece.size()) {
    const auto bytes = std::span(piece).first(std::min<std::uint64_t>(piece.size(), reader.bytes() - at));
    reader.read(at, bytes);
    writer.append(bytes);
  }
  out.end_section(std::move(writer));
}

void copy_ids(const MatrixFile& from, ContainerWriter& out, const IdSections& as) {
  if (from.id_kind() == IdKind::kNone) return;
  copy_section(from, kRowIds.ids, out, as.ids);
  if (from.id_kind() == IdKind::kString) copy_section(from, kRowIds.offsets, out, as.offsets);
  copy_section(from, kRowIds.index, out, as.index);
}

// The header is written last, so the hash of the whole can only be taken from the finished file.
std::uint64_t hash_file(const std::string& path) {
  const os::File file = os::File::open_for_reading(path);
  file.advise_sequential();
  const std::unique_ptr<XXH3_state_t, decltype(&XXH3_freeState)> state(XXH3_createState(), XXH3_freeState);
  if (!state) throw std::bad_alloc();
  XXH3_64bits_reset(state.get());
  std::vector<std::byte> piece(kPieceBytes);
  for (std::uint64_t at = 0;; at += piece.size()) {
    const std::size_t got = file.read_at(piece, at);
    XXH3_64bits_update(state.get(), piece.data(), got);
    if (got < piece.size()) return XXH3_64bits_digest(state.get());
  }
}

}  // namespace

NeighboursWriter::NeighboursWriter(const std::string& path, const NeighboursBody& body, const MatrixFile& queries,
                                   const MatrixFile* base, std::span<const FieldEntry> fields)
    : body_(filled_in(body, fields, queries, base)),
      fields_(fields.begin(), fields.end()),
      queries_(&queries),
      base_(base),
      path_(path),
      out_(path, kNeighboursMagic),
      rows_(out_.begin_section(SectionKind::kNeighbourRows)),
      row_scratch_(body_.top_k),
      score_scratch_(body_.top_k) {
  if (writes_all_pairs()) {
    spooled_scores_.emplace(path);
    row_starts_.emplace(path);
  } else {
    scores_.emplace(out_.begin_section_at(SectionKind::kNeighbourScores, scores_offset(body_, path)));
  }
}

void NeighboursWriter::append_pairs(std::span<const Neighbour> neighbours) {
  const std::uint64_t start = rows_.bytes() / sizeof(std::uint64_t);
  row_starts_->append(std::as_bytes(std::span(&start, 1)));
  for (const Neighbour& neighbour : neighbours) {
    rows_.append(std::as_bytes(std::span(&neighbour.row, 1)));
    spooled_scores_->append(std::as_bytes(std::span(&neighbour.score, 1)));
  }
}

void NeighboursWriter::end_pairs() {
  const std::uint64_t end = rows_.bytes() / sizeof(std::uint64_t);
  row_starts_->append(std::as_bytes(std::span(&end, 1)));
  out_.end_section(std::move(rows_));
  SectionWriter scores = out_.begin_section(SectionKind::kNeighbourScores);
  spooled_scores_->copy_to(scores);
  out_.end_section(std::move(scores));
  SectionWriter starts = out_.begin_section(SectionKind::kRowStarts);
  row_starts_->copy_to(starts);
  out_.end_section(std::move(starts));
}

void NeighboursWriter::append_row(std::span<const Neighbour> neighbours) {
  ++rows_written_;
  if (writes_all_pairs()) return append_pairs(neighbours);
  for (std::size_t i = 0; i < row_scratch_.size(); ++i) {
    const bool used = i < neighbours.size();
    row_scratch_[i] = used ? neighbours[i].row : kNoRow;
    score_scratch_[i] = used ? neighbours[i].score : std::numeric_limits<float>::quiet_NaN();
  }
  rows_.append_values(std::span<const std::uint64_t>(row_scratch_));
  scores_->append_values(std::span<const float>(score_scratch_));
}

std::uint64_t NeighboursWriter::finish() {
  if (rows_written_ != body_.rows)
    throw Error(ErrorCode::kInvalidArgument, "'" + path_ + "' got " + std::to_string(rows_written_) +
                                                 " rows instead of " + std::to_string(body_.rows) +
                                                 "; append every query row once");
  if (writes_all_pairs()) {
    end_pairs();
  } else {
    out_.end_section(std::move(rows_));
    out_.end_section(std::move(*scores_));
  }
  if (!fields_.empty()) {
    SectionWriter section = out_.begin_section(SectionKind::kFields);
    section.append_values(std::span<const FieldEntry>(fields_));
    out_.end_section(std::move(section));
  }
  copy_ids(*queries_, out_, kRowIds);
  if (base_ != nullptr) copy_ids(*base_, out_, kBaseRowIds);
  out_.finish(std::as_bytes(std::span(&body_, 1)));
  return hash_file(path_);
}

}  // namespace simtile::storage
