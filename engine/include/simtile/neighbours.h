// A neighbours file, opened read-only: the result of a join or search. It carries the ids of both sides, so it can be
// read without the matrices it came from.
//
// Threads: const methods and reload() may be called from several threads at once. Lifetime: values are copies. A
// moved-from Neighbours may only be destroyed or assigned to.
// Generations: as with Matrix (matrix.h), reload() swaps a replaced file in.
// Errors (simtile::Error): kIo, kCorrupt (damaged, or written to or cut while it was open), kInvalidArgument (a row
// that does not exist).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "simtile/open.h"
#include "simtile/types.h"

namespace simtile {

// One field of the weighted sum that the scores are.
struct NeighboursField {
  std::string name;
  float weight = 0.0f;
  std::uint64_t columns = 0;
  std::uint64_t query_identity = 0, base_identity = 0;  // of the matrix files
};

struct NeighboursInfo {
  std::uint64_t rows = 0;     // query rows
  std::uint64_t top_k = 0;    // 0: all pairs from min_score on, any number of neighbours a row
  std::uint64_t entries = 0;  // neighbours of all rows; unused ones of a top K included
  std::uint64_t base_rows = 0;
  std::uint64_t columns = 0;  // of all fields together
  Metric metric = Metric::kCosine;
  std::vector<NeighboursField> fields;  // in the order of the sum; empty: one matrix, as it is
  bool renormalized = false;            // sums were divided by the weights that both rows have
  bool self_join = false;
  std::optional<float> min_score;
  std::string query_id_kind, base_id_kind;              // "none", "u64" or "string"
  std::uint64_t query_identity = 0, base_identity = 0;  // of the matrix files
  std::uint64_t rows_offset = 0, scores_offset = 0;     // of the two arrays in the file, bytes
  std::uint64_t file_bytes = 0;
  std::uint64_t identity = 0;
};

class Neighbours {
 public:
  explicit Neighbours(const std::string& path, const OpenOptions& options = {});
  Neighbours(Neighbours&&) noexcept;
  Neighbours& operator=(Neighbours&&) noexcept;
  ~Neighbours();

  NeighboursInfo info() const;

  // The row's neighbours, best first; fewer than top_k where there were no more.
  std::vector<Neighbour> neighbours(std::uint64_t row) const;
  // The best `most` of them; the others are not read.
  std::vector<Neighbour> neighbours(std::uint64_t row, std::uint64_t most) const;
  std::vector<Neighbour> row(std::uint64_t row) const { return neighbours(row); }
  // Of a top K (top_k > 0): copies `count` rows as stored: base rows and scores, count x top_k each, kNoRow and NaN
  // where a row has fewer.
  void read_rows(std::uint64_t first_row, std::uint64_t count, std::span<std::uint64_t> rows,
                 std::span<float> scores) const;

  // What the user calls a query row or a base row; its number where there are no ids.
  std::string query_id(std::uint64_t row) const;
  std::string base_id(std::uint64_t row) const;
  // The first query row with this id.
  std::optional<std::uint64_t> find(std::string_view id) const;

  // As Matrix (matrix.h) has them.
  bool reload();
  std::uint64_t generation() const;
  Neighbours snapshot() const;

 private:
  struct Generation;
  struct State;
  explicit Neighbours(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace simtile
