#include "simtile/searcher.h"

#include <oneapi/tbb/info.h>
#include <oneapi/tbb/task_arena.h>

#include <algorithm>
#include <cmath>
#include <mutex>
#include <utility>

#include "engine/base/arena.h"
#include "engine/kernels/tile_kernel.h"
#include "engine/search/dense_scan.h"
#include "engine/storage/matrix_generation.h"
#include "simtile/error.h"

namespace simtile {
namespace {

using search::BaseRows;
using search::DenseScan;
using storage::Generations;
using storage::MatrixGeneration;

OpenOptions open_options(const SearcherOptions& options) {
  return {options.mode, Access::kMapped, options.warm, options.warm_bytes_per_second, options.lock};
}

std::shared_ptr<const MatrixGeneration> open_base(const std::string& path, const OpenOptions& options) {
  auto base = std::make_shared<const MatrixGeneration>(path, options);
  if (base->info().sparse)
    throw Error(ErrorCode::kInvalidArgument,
                "'" + path + "' is sparse, and a Searcher takes dense matrices; use `simtile search`");
  if (base->info().rows > topk::kMaxRows)
    throw Error(ErrorCode::kInvalidArgument, "'" + path + "' has " + std::to_string(base->info().rows) +
                                                 " rows; a Searcher takes at most " + std::to_string(topk::kMaxRows));
  return base;
}

void check(const SearchQuery& query, std::size_t number, std::uint64_t columns) {
  const auto refuse = [&](const std::string& why) {
    throw Error(ErrorCode::kInvalidArgument, "query " + std::to_string(number) + " " + why);
  };
  if (query.vector.size() != columns)
    refuse("has " + std::to_string(query.vector.size()) + " values, but the base has " + std::to_string(columns) +
           " columns");
  if (query.top_k == 0) refuse("wants a top_k of 0; give at least 1");
  if (query.min_score && std::isnan(*query.min_score)) refuse("has a min_score that is no number");
  for (std::size_t i = 0; i < query.vector.size(); ++i)
    if (!std::isfinite(query.vector[i])) refuse("has a value that is not finite, at " + std::to_string(i));
}

// More than there are processors would make no search faster.
std::uint32_t threads_of(const SearcherOptions& options) {
  const auto most = static_cast<std::uint32_t>(oneapi::tbb::info::default_concurrency());
  return options.threads == 0 ? most : std::min(options.threads, most);
}

}  // namespace

// What the handles of one Searcher and its snapshots share: the threads, and scans that nobody is using.
class SearcherEngine {
 public:
  explicit SearcherEngine(const SearcherOptions& options)
      : kernel_(&kernels::select_kernel(options.isa)),
        threads_(threads_of(options)),
        arena_(std::make_unique<oneapi::tbb::task_arena>(static_cast<int>(threads_))) {}
  SearcherEngine(const SearcherEngine&) = delete;
  SearcherEngine& operator=(const SearcherEngine&) = delete;
  ~SearcherEngine() {
    // Leaving an arena takes a lock that may have been held at a fork.
    if (has_lost_threads()) static_cast<void>(arena_.release());
  }

  void run(const BaseRows& base, std::span<const SearchQuery> queries, Metric metric, SearchResults& results) {
    std::unique_ptr<DenseScan> scan = take();
    const auto scan_all = [&] {
      for (; !queries.empty(); queries = queries.subspan(std::min(queries.size(), search::kMostQueries)))
        scan->run(base, queries.first(std::min(queries.size(), search::kMostQueries)), metric, results);
    };
    if (has_lost_threads())
      scan_all();
    else
      arena_->execute(scan_all);
    const std::lock_guard lock(mutex_);
    idle_.push_back(std::move(scan));
  }

 private:
  std::unique_ptr<DenseScan> take() {
    const std::lock_guard lock(mutex_);
    if (idle_.empty()) return std::make_unique<DenseScan>(*kernel_, threads_);
    std::unique_ptr<DenseScan> scan = std::move(idle_.back());
    idle_.pop_back();
    return scan;
  }

  const kernels::TileKernel* kernel_;
  const std::uint32_t threads_;
  std::unique_ptr<oneapi::tbb::task_arena> arena_;
  std::mutex mutex_;  // guards idle_
  std::vector<std::unique_ptr<DenseScan>> idle_;
};

struct Searcher::State {
  std::unique_ptr<Generations<MatrixGeneration>> generations;
  std::shared_ptr<SearcherEngine> engine;
  OpenOptions options;
};

Searcher::Searcher(const std::string& base_path, const SearcherOptions& options)
    : state_(
          std::make_unique<State>(State{nullptr, std::make_shared<SearcherEngine>(options), open_options(options)})) {
  state_->generations = std::make_unique<Generations<MatrixGeneration>>(open_base(base_path, state_->options));
}
Searcher::Searcher(std::unique_ptr<State> state) : state_(std::move(state)) {}
Searcher::Searcher(Searcher&&) noexcept = default;
Searcher& Searcher::operator=(Searcher&&) noexcept = default;
Searcher::~Searcher() = default;

MatrixInfo Searcher::info() const { return state_->generations->current()->info(); }

SearchResults Searcher::search(std::span<const float> queries, const SearchOptions& options) const {
  const auto columns = static_cast<std::size_t>(state_->generations->current()->info().columns);
  if (queries.empty() || queries.size() % columns != 0)
    throw Error(ErrorCode::kInvalidArgument, std::to_string(queries.size()) +
                                                 " values are no whole number of queries of " +
                                                 std::to_string(columns) + " columns");
  std::vector<SearchQuery> each;
  for (; !queries.empty(); queries = queries.subspan(columns))
    each.push_back({queries.first(columns), options.top_k, options.min_score, options.exclude_rows});
  SearchResults results;
  search(each, options.metric, results);
  return results;
}

void Searcher::search(std::span<const SearchQuery> queries, Metric metric, SearchResults& results) const {
  const auto generation = state_->generations->current();
  results.clear();
  for (std::size_t q = 0; q < queries.size(); ++q) check(queries[q], q, generation->info().columns);
  state_->engine->run(BaseRows(*generation, metric), queries, metric, results);
  generation->check_intact();
}

Matrix Searcher::matrix() const {
  return Matrix(std::make_unique<Matrix::State>(Matrix::State{state_->generations->snapshot(), state_->options}));
}

bool Searcher::reload() {
  return state_->generations->reload(
      [this](const MatrixGeneration& old) { return open_base(old.file().path(), state_->options); });
}

std::uint64_t Searcher::generation() const { return state_->generations->number(); }

Searcher Searcher::snapshot() const {
  return Searcher(std::make_unique<State>(State{state_->generations->snapshot(), state_->engine, state_->options}));
}

}  // namespace simtile
