// The forms in which neighbours leave simtile. Each function streams the whole file in blocks of rows and publishes its
// output at the end; interrupted or failed, it leaves nothing behind.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "simtile/neighbours.h"

namespace simtile::tools {

struct ExportJob {
  const Neighbours* neighbours = nullptr;
  std::string destination;           // "-" is standard output, for the text forms
  std::uint64_t id_cache_bytes = 0;  // for the ids of base rows
};

void export_csv(const ExportJob& job);
void export_ndjson(const ExportJob& job);
// NumPy arrays of rows x top_k: DST.rows.npy (i64) and DST.scores.npy (f32), where DST loses an ".npy" at its end. Of
// all pairs, arrays of their number, and DST.starts.npy (i64, rows + 1): a CSR matrix.
void export_npy(const ExportJob& job);
// The files that it writes: of rows, of scores, and of all pairs of starts.
std::vector<std::string> npy_paths(const std::string& destination, bool all_pairs);
// For each row an i32 top_k, then as many i32 rows. Refuses rows that an i32 cannot name.
void export_ivecs(const ExportJob& job);

// neighbors(id, rank, neighbor_id, score) with an index on (id, rank).
void export_sqlite(const ExportJob& job);

// One row after another with its neighbours, best first.
using RowFunction = std::function<void(std::uint64_t row, std::span<const Neighbour> found)>;
void for_each_row(const Neighbours& neighbours, const RowFunction& function);

// Of a top K: rows as stored, a block of whole rows at a time: base rows and scores, top_k for each.
using BlockFunction =
    std::function<void(std::uint64_t first_row, std::span<const std::uint64_t> rows, std::span<const float> scores)>;
void for_each_block(const Neighbours& neighbours, const BlockFunction& function);

}  // namespace simtile::tools
