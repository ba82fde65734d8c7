// The header fields of a neighbours file (.knn), after the container's own: docs/file_format.md, "Neighbours files".
//
// Only what defines the answer stands here. Threads, budget, instruction set and times do not: they must not change a
// bit of the file, so they go into the job report.
#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/storage/container_layout.h"

namespace simtile::storage {

inline constexpr char kNeighboursMagic[8] = {'S', 'I', 'M', 'T', 'K', 'N', 'N', '\n'};

inline constexpr std::uint32_t kNeighboursSelfJoin = 1;  // flag: queries are the base, a row is not its own neighbour
inline constexpr std::uint32_t kNeighboursMinScore = 2;  // flag: min_score holds
inline constexpr std::uint32_t kNeighboursFields = 4;    // flag: section kFields says what the scores are sums of
inline constexpr std::uint32_t kNeighboursRenormalized = 8;  // flag: sums were divided by the weights both rows have
inline constexpr std::uint32_t kNeighboursAllPairs = 16;  // flag: all pairs from min_score on; top_k is 0, rows as CSR

struct NeighboursBody {
  std::uint64_t rows;  // query rows
  std::uint64_t
      top_k;  // 0 with kNeighboursAllPairs; else entries kept for each row; unused ones hold row 2^64-1 and score NaN
  std::uint64_t base_rows;
  std::uint64_t columns;  // of both matrices, or of all fields together
  std::uint32_t metric;   // Metric
  std::uint32_t flags;
  float min_score;
  std::uint32_t query_id_kind;  // IdKind of sections 7 to 9
  std::uint32_t base_id_kind;   // IdKind of sections 12 to 14; in a self-join kNone, the query's serve
  std::uint32_t reserved;
  // header_xxh3 of the matrix file the query rows and their ids came from, and of the base's. With fields, XXH3-64 of
  // what section kFields gives for each, one after the other.
  std::uint64_t query_identity;
  std::uint64_t base_identity;
};
static_assert(sizeof(NeighboursBody) == 72);
static_assert(offsetof(NeighboursBody, metric) == 32);
static_assert(offsetof(NeighboursBody, query_identity) == 56);

inline constexpr std::size_t kMostFieldNameBytes = 31;

// One field of a weighted sum, in the order of the sum.
struct FieldEntry {
  char name[kMostFieldNameBytes + 1];  // padded with zeros
  float weight;                        // finite, not zero
  std::uint32_t reserved;
  std::uint64_t columns;
  std::uint64_t query_identity;  // header_xxh3 of the matrix files
  std::uint64_t base_identity;
};
static_assert(sizeof(FieldEntry) == 64);
static_assert(offsetof(FieldEntry, columns) == 40);

}  // namespace simtile::storage
