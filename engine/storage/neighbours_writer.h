// Writes a neighbours file row by row in bounded memory and publishes it atomically (container_writer.h). The ids of
// the query rows, and of the base rows where those are others, are copied from their matrix files, so that the result
// can be read alone and its bytes depend on the inputs' content but not on their paths.
//
// Order of use: construct, append_row() for every query row in order, finish().
// Memory: about 2 MiB, plus 12 bytes for each of a row's top_k and 8 for each 64 KiB written. Threads: one at a time.
// Errors: Error(kIo), Error(kCorrupt) when the ids of a matrix are damaged.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/storage/container_writer.h"
#include "engine/storage/matrix_file.h"
#include "engine/storage/neighbours_layout.h"
#include "simtile/types.h"

namespace simtile::storage {

class NeighboursWriter {
 public:
  // `base` is null in a self-join. The matrices must outlive the writer. `body` says top_k, metric, flags and
  // min_score; the writer fills in what comes from the matrices (rows, columns, kinds of ids, identities). Of a
  // weighted sum, `fields` are its fields and the matrices those whose ids are to be copied; otherwise there are none.
  NeighboursWriter(const std::string& path, const NeighboursBody& body, const MatrixFile& queries,
                   const MatrixFile* base, std::span<const FieldEntry> fields = {});
  NeighboursWriter(const NeighboursWriter&) = delete;
  NeighboursWriter& operator=(const NeighboursWriter&) = delete;

  // The next row's neighbours, best first, at most top_k, the rest filled with kNoRow and NaN; or any number of them,
  // where `body` says that all pairs are wanted.
  void append_row(std::span<const Neighbour> neighbours);

  // Publishes the file and returns the XXH3-64 of all of its bytes.
  std::uint64_t finish();

 private:
  bool writes_all_pairs() const noexcept { return (body_.flags & kNeighboursAllPairs) != 0; }
  void append_pairs(std::span<const Neighbour> neighbours);
  void end_pairs();
  NeighboursBody body_;
  std::vector<FieldEntry> fields_;
  const MatrixFile* queries_;
  const MatrixFile* base_;
  std::string path_;
  ContainerWriter out_;
  SectionWriter rows_;
  std::optional<SectionWriter> scores_;  // of a top K
  std::optional<Spool> spooled_scores_;  // of all pairs: where they begin is known at the end
  std::optional<Spool> row_starts_;
  std::uint64_t rows_written_ = 0;
  std::vector<std::uint64_t> row_scratch_;
  std::vector<float> score_scratch_;
};

}  // namespace simtile::storage
