#include "engine/join/seed_bounds.h"

#include <algorithm>
#include <limits>
#include <optional>

#include "engine/base/arena.h"
#include "engine/base/checked.h"
#include "engine/screen/clusters.h"

namespace simtile::join {
namespace {

using kernels::kColumnMask;
using kernels::kQueryShift;

constexpr std::uint64_t kRowsOfACluster = 256;
constexpr std::uint64_t kMostClusters = 4096;
// Base rows that a cluster's queries are scored against: so many, or a few for each neighbour that is wanted.
constexpr std::uint64_t kCandidates = 192;
constexpr std::uint64_t kCandidatesPerNeighbour = 4;
constexpr std::uint64_t kMostCandidates = 2048;
// Thresholds are read again after so many base panels.
constexpr std::uint32_t kPanelsAtOnce = 4;

// Rows of a side, here and there: from one window over all of them where the budget has room for it, which spares a
// system call and a copy for each.
class ScatteredRows {
 public:
  ScatteredRows(DenseRows& rows, std::uint64_t count, std::uint64_t row_bytes, std::uint64_t room) : rows_(rows) {
    if (count * row_bytes > room) return;
    window_.emplace(rows.window(0, count));
    window_->load(0, count);
  }
  // `stored`: room for the row's bytes in the file.
  void decode(std::uint64_t row, std::span<std::byte> stored, float* values) {
    if (window_)
      window_->decode(row, values);
    else
      rows_.decode_row(row, stored, values);
  }
  // Once rows have been decoded: throws Error(kCorrupt) when the file was changed meanwhile.
  void close() {
    if (window_) window_->close();
    rows_.check_unchanged();
  }

 private:
  DenseRows& rows_;
  std::optional<DenseRows::Window> window_;
};

// One worker's room: the candidates of a cluster in base panels, and one panel of queries with its reservoirs.
class ClusterScorer {
 public:
  ClusterScorer(const PreparedJob& job, Metric metric, PageBudget& budget, TopKState& state, std::uint64_t candidates)
      : job_(job),
        kernel_(*job.kernel),
        dims_(static_cast<std::uint32_t>(job.shapes.dims)),
        is_l2_(metric == Metric::kL2),
        larger_better_(topk::larger_is_better(metric)),
        state_(state),
        capacity_(round_up(candidates, kernel_.base_width)),
        panels_(budget, capacity_ * dims_ * sizeof(float)),
        rows_(budget, std::max(kernel_.base_width, kernel_.query_width) * std::uint64_t{dims_} * sizeof(float)),
        stored_(budget, std::max(job.shapes.base.most_bytes, job.shapes.query.most_bytes)),
        query_panel_(budget, kernel_.query_width * std::uint64_t{dims_} * sizeof(float)),
        partial_(budget, std::uint64_t{kernel_.query_width} * kPanelsAtOnce * kernel_.base_width * sizeof(float)),
        query_thresholds_(budget, kernel_.query_width * sizeof(float)),
        base_thresholds_(budget, capacity_ * sizeof(float)),
        scores_(budget, survivors() * sizeof(float)),
        pairs_(budget, survivors() * sizeof(std::uint32_t)),
        unused_scores_(budget, survivors() * sizeof(float)),
        unused_pairs_(budget, survivors() * sizeof(std::uint32_t)),
        bounds_(budget, kernel_.query_width, topk::kNoBound),
        reservoirs_(budget, bounds_, kernel_.prune_keys, 0, kernel_.query_width, job.plan.kept,
                    job.plan.reservoir_capacity) {}

  // Packs the base rows, at most as many as there is room for.
  void take_candidates(ScatteredRows& bases, std::span<const std::uint32_t> rows) {
    candidates_ = rows;
    const std::uint32_t width = kernel_.base_width;
    for (std::size_t done = 0; done < rows.size(); done += width) {
      const auto count = static_cast<std::uint32_t>(std::min<std::size_t>(width, rows.size() - done));
      for (std::uint32_t r = 0; r < count; ++r)
        bases.decode(rows[done + r], stored(), rows_.as<float>() + r * std::size_t{dims_});
      kernel_.pack_base_panel(rows_.as<float>(), dims_, count, dims_, panels_.as<float>() + done * dims_);
    }
    auto* thresholds = base_thresholds_.as<float>();
    std::fill_n(thresholds, rows.size(), topk::closed_threshold(larger_better_));
    std::fill(thresholds + rows.size(), thresholds + capacity_, std::numeric_limits<float>::quiet_NaN());
  }

  // Scores one panel of query rows against the candidates, and tightens their bounds.
  void score(ScatteredRows& queries, std::span<const std::uint32_t> rows) {
    for (std::size_t r = 0; r < rows.size(); ++r) {
      queries.decode(rows[r], stored(), rows_.as<float>() + r * dims_);
      bounds_.store(r, state_.bounds().load(rows[r]));
    }
    kernel_.pack_query_panel(rows_.as<float>(), dims_, static_cast<std::uint32_t>(rows.size()), dims_,
                             query_panel_.as<float>());
    reservoirs_.reset(0, rows.size());
    const auto panels = static_cast<std::uint32_t>(divide_up(candidates_.size(), kernel_.base_width));
    for (std::uint32_t first = 0; first < panels; first += kPanelsAtOnce)
      score_panels(rows, first, std::min(kPanelsAtOnce, panels - first));
    for (std::size_t r = 0; r < rows.size(); ++r) {
      const std::span<const topk::Key> best = reservoirs_.sorted(r);
      if (best.size() == job_.plan.kept) state_.tighten(rows[r], topk::bound_that_admits(best.back()));
    }
  }

 private:
  std::span<std::byte> stored() const noexcept { return {stored_.as<std::byte>(), stored_.bytes()}; }
  std::uint64_t survivors() const noexcept {
    return kernel_.query_width * kPanelsAtOnce * kernel_.base_width + kernels::kSurvivorSlack;
  }

  void score_panels(std::span<const std::uint32_t> rows, std::uint32_t first, std::uint32_t count) {
    const std::uint32_t first_column = first * kernel_.base_width;
    auto* thresholds = query_thresholds_.as<float>();
    for (std::size_t r = 0; r < rows.size(); ++r)
      thresholds[r] = topk::threshold_score(larger_better_, bounds_.load(r), 0);
    std::fill(thresholds + rows.size(), thresholds + kernel_.query_width, topk::closed_threshold(larger_better_));
    kernels::Strip strip{};
    strip.query_panel = query_panel_.as<float>();
    strip.base_panels = panels_.as<float>() + std::size_t{first_column} * dims_;
    strip.query_thresholds = thresholds;
    strip.base_thresholds = base_thresholds_.as<float>() + first_column;
    strip.partial_scores = partial_.as<float>();
    strip.dims = dims_;
    strip.query_rows = static_cast<std::uint32_t>(rows.size());
    strip.base_panel_count = count;
    strip.first_pair = first_column;
    kernels::Survivors found{scores_.as<float>(), pairs_.as<std::uint32_t>(), 0};
    kernels::Survivors none{unused_scores_.as<float>(), unused_pairs_.as<std::uint32_t>(), 0};
    (is_l2_ ? kernel_.squared_l2 : kernel_.inner_product)(strip, found, none);
    for (std::uint32_t i = 0; i < found.count; ++i) {
      const std::uint32_t q = found.pairs[i] >> kQueryShift;
      const std::uint32_t base_row = candidates_[found.pairs[i] & kColumnMask];
      if (job_.shapes.self_join && base_row == rows[q]) continue;
      reservoirs_.insert(q, topk::make_key(larger_better_, found.scores[i], base_row));
    }
  }

  const PreparedJob& job_;
  const kernels::TileKernel& kernel_;
  std::uint32_t dims_;
  bool is_l2_;
  bool larger_better_;
  TopKState& state_;
  std::uint64_t capacity_;
  std::span<const std::uint32_t> candidates_;
  BudgetedMemory panels_;
  BudgetedMemory rows_;
  BudgetedMemory stored_;
  BudgetedMemory query_panel_;
  BudgetedMemory partial_;
  BudgetedMemory query_thresholds_;
  BudgetedMemory base_thresholds_;
  BudgetedMemory scores_;
  BudgetedMemory pairs_;
  BudgetedMemory unused_scores_;  // what would survive for base rows, whose thresholds are closed
  BudgetedMemory unused_pairs_;
  topk::Bounds bounds_;
  topk::Reservoirs reservoirs_;
};

// The rows of the clusters nearest to `cluster`, until there are `wanted`; at most `most`.
std::vector<std::uint32_t> candidates_near(const screen::Centres& centres, const screen::RowsByCluster& bases,
                                           std::uint64_t cluster, std::uint64_t wanted, std::uint64_t most) {
  std::vector<std::uint32_t> rows;
  for (const std::uint32_t near : centres.by_distance_from(cluster)) {
    if (rows.size() >= wanted) break;
    const auto begin = bases.rows.begin() + static_cast<std::ptrdiff_t>(bases.starts[near]);
    const auto count = std::min<std::uint64_t>(bases.starts[near + 1] - bases.starts[near], most - rows.size());
    rows.insert(rows.end(), begin, begin + static_cast<std::ptrdiff_t>(count));
  }
  return rows;
}

// Query rows of one cluster that one task seeds: a cluster of thousands must not keep one thread alone.
struct Piece {
  std::uint64_t cluster;
  std::uint64_t first;  // in RowsByCluster::rows
  std::uint64_t count;
};

// Of the rows in [begin, end).
std::vector<Piece> pieces_of(const screen::RowsByCluster& queries, std::uint64_t begin, std::uint64_t end) {
  constexpr std::uint64_t kMostRows = 512;
  std::vector<Piece> pieces;
  for (std::uint64_t cluster = 0; cluster + 1 < queries.starts.size(); ++cluster) {
    const auto at = [&](std::uint64_t i) { return queries.rows.begin() + static_cast<std::ptrdiff_t>(i); };
    const auto place_of = [&](std::uint64_t row) {
      const auto place = std::lower_bound(at(queries.starts[cluster]), at(queries.starts[cluster + 1]), row);
      return static_cast<std::uint64_t>(place - queries.rows.begin());
    };
    const std::uint64_t last = place_of(end);
    for (std::uint64_t first = place_of(begin); first < last; first += kMostRows)
      pieces.push_back({cluster, first, std::min(kMostRows, last - first)});
  }
  return pieces;
}

struct SeedSizes {
  std::uint64_t wanted = 0;  // candidates of a cluster's queries
  std::uint64_t most = 0;    // room for them; 0: none
};

SeedSizes sizes_within(std::uint64_t bytes, const plan::Shapes& shapes, std::uint64_t kept,
                       const screen::ClusterOptions& options) {
  // Each row's cluster and place, twice; the centres, their sample and each worker's products with them.
  const std::uint64_t rows = shapes.base_rows + (shapes.self_join ? 0 : shapes.query_rows);
  const std::uint64_t fixed =
      rows * 2 * sizeof(std::uint64_t) +
      options.clusters * (options.dims * 20 + std::uint64_t{4} * options.workers.threads * shapes.query_width) *
          sizeof(float);
  if (fixed >= bytes) return {};
  const std::uint64_t fitting = (bytes - fixed) / options.workers.threads / (shapes.dims * sizeof(float) + 64);
  SeedSizes sizes;
  sizes.wanted = std::min(std::max(kCandidates, kCandidatesPerNeighbour * kept), kMostCandidates);
  sizes.most = std::min(sizes.wanted + sizes.wanted / 2, fitting / 2);
  sizes.wanted = std::min(sizes.wanted, sizes.most);
  return sizes.most < kept || sizes.most < kRowsOfACluster ? SeedSizes{} : sizes;
}

}  // namespace

void seed_bounds(PreparedJob& job, Metric metric, PageBudget& budget, TopKState& state, std::uint64_t rows_done,
                 const std::atomic<bool>* stop) {
  Side& query_side = *job.query_side();
  Side& base_side = *job.base;
  const std::uint64_t base_rows = job.shapes.base_rows;
  screen::ClusterOptions options;
  options.clusters = std::clamp<std::uint64_t>(base_rows / kRowsOfACluster, 1, kMostClusters);
  options.dims = job.shapes.screen.first_dims;
  options.unit_norm = metric == Metric::kCosine;
  options.workers = {job.shapes.threads, stop};
  const SeedSizes sizes = sizes_within(budget.remaining_bytes() / 2, job.shapes, job.plan.kept, options);
  if (sizes.most == 0) return;
  const screen::Centres centres(budget, *job.kernel, *base_side.screen, options);
  const screen::RowsByCluster bases(centres.assign(*base_side.screen), centres.count());
  std::optional<screen::RowsByCluster> other_queries;
  if (!job.shapes.self_join) other_queries.emplace(centres.assign(*query_side.screen), centres.count());
  const screen::RowsByCluster& queries = other_queries ? *other_queries : bases;

  std::vector<std::unique_ptr<ClusterScorer>> scorers;
  for (std::uint32_t t = 0; t < job.shapes.threads; ++t)
    scorers.push_back(std::make_unique<ClusterScorer>(job, metric, budget, state, sizes.most));

  const auto scattered = [&](Side& side, const plan::RowShape& shape) {
    return ScatteredRows(*side.dense, side.matrix.rows(), shape.most_bytes, budget.remaining_bytes() / 4);
  };
  ScatteredRows base_scattered = scattered(base_side, job.shapes.base);
  std::optional<ScatteredRows> other_scattered;
  if (!job.shapes.self_join) other_scattered.emplace(scattered(query_side, job.shapes.query));
  ScatteredRows& query_scattered = other_scattered ? *other_scattered : base_scattered;

  // Rows that an earlier process finished need no bounds, nor do those that another shard's part is about.
  const std::vector<Piece> pieces = pieces_of(queries, rows_done, job.shapes.found_end());
  parallel_for_each(job.shapes.threads, 0, pieces.size(), 1, [&](std::uint64_t i) {
    const auto stopped = [&] { return stop != nullptr && stop->load(std::memory_order_relaxed); };
    if (stopped()) return;
    const std::uint64_t cluster = pieces[i].cluster;
    const std::span rows = std::span(queries.rows).subspan(pieces[i].first, pieces[i].count);
    ClusterScorer& scorer = *scorers[thread_in_arena()];
    const std::vector<std::uint32_t> candidates = candidates_near(centres, bases, cluster, sizes.wanted, sizes.most);
    scorer.take_candidates(base_scattered, candidates);
    const std::size_t width = job.kernel->query_width;
    for (std::size_t done = 0; done < rows.size() && !stopped(); done += width)
      scorer.score(query_scattered, rows.subspan(done, std::min(width, rows.size() - done)));
  });
  base_scattered.close();
  if (other_scattered) other_scattered->close();
}

}  // namespace simtile::join
