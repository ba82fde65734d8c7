// Searches a mapped matrix file for the most similar rows of query vectors, exactly, again and again: what a service
// does. The answer is, to the bit, that of `simtile search` (job.h says how scores are defined), whatever the threads,
// the instruction set and the queries that are searched for together.
//
// One pass over the base serves all queries of a call, and costs little more for thirty-two than for one: hand over
// what is waiting. Each pass reads the whole base.
//
// Threads: all methods may be called from several threads at once; searches of several threads share the Searcher's
// oneTBB arena. Once a Searcher has seen the number of queries and the top_k, searching allocates nothing but what the
// results need.
// Lifetime: results are copies. A moved-from Searcher may only be destroyed or assigned to.
// Generations: as with Matrix (matrix.h), reload() swaps a replaced file in; searches under way finish on the old one.
// Errors (simtile::Error): kIo, kCorrupt (damaged, or written to or cut while it was open), kInvalidArgument (names
// what is wrong with the query).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "simtile/matrix.h"
#include "simtile/open.h"
#include "simtile/types.h"

namespace simtile {

struct SearcherOptions {
  OpenMode mode = OpenMode::kVerifyOnTouch;
  Warm warm = Warm::kNone;
  std::uint64_t warm_bytes_per_second = 0;
  bool lock = false;
  std::uint32_t threads =
      0;  // for all searches; 0, or more than there are: one for each processor this process may use
  Isa isa = Isa::kAuto;
};

struct SearchOptions {
  std::uint64_t top_k = 10;  // at least 1; more than there are rows gives fewer neighbours
  Metric metric = Metric::kCosine;
  std::optional<float> min_score = {};               // keep rows at least this good only (l2: at most this distance)
  std::span<const std::uint64_t> exclude_rows = {};  // never in the answer; in any order
};

// One query of several that want different things. The spans must hold while the search runs.
struct SearchQuery {
  std::span<const float> vector;  // columns() finite values
  std::uint64_t top_k = 10;
  std::optional<float> min_score = {};
  std::span<const std::uint64_t> exclude_rows = {};
};

// The neighbours of each query, best first. Keep one and pass it again: its room is used again.
class SearchResults {
 public:
  std::uint64_t queries() const noexcept { return ends_.size(); }
  std::span<const Neighbour> operator[](std::uint64_t query) const noexcept {
    const std::uint64_t begin = query == 0 ? 0 : ends_[query - 1];
    return {neighbours_.data() + begin, static_cast<std::size_t>(ends_[query] - begin)};
  }
  void clear() noexcept {
    neighbours_.clear();
    ends_.clear();
  }
  void append(Neighbour neighbour) { neighbours_.push_back(neighbour); }
  // What was appended since the last call is the next query's.
  void end_query() { ends_.push_back(neighbours_.size()); }

 private:
  std::vector<Neighbour> neighbours_;
  std::vector<std::uint64_t> ends_;
};

class Searcher {
 public:
  explicit Searcher(const std::string& base_path, const SearcherOptions& options = {});
  Searcher(Searcher&&) noexcept;
  Searcher& operator=(Searcher&&) noexcept;
  ~Searcher();

  MatrixInfo info() const;
  std::uint64_t rows() const { return info().rows; }
  std::uint64_t columns() const { return info().columns; }

  // `queries` holds one or more vectors of columns() finite values, one after the other.
  SearchResults search(std::span<const float> queries, const SearchOptions& options = {}) const;
  // The same with k alone.
  SearchResults search(std::span<const float> queries, std::uint64_t top_k) const {
    return search(queries, SearchOptions{.top_k = top_k});
  }
  // Each query with its own wishes, all in one pass. `results` is overwritten.
  void search(std::span<const SearchQuery> queries, Metric metric, SearchResults& results) const;

  // Rows and ids of the generation of now: ask a snapshot() when they must belong to its answers.
  Matrix matrix() const;

  // As Matrix has them.
  bool reload();
  std::uint64_t generation() const;
  Searcher snapshot() const;

 private:
  struct State;
  explicit Searcher(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace simtile
