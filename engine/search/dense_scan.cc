#include "engine/search/dense_scan.h"

#include <algorithm>
#include <limits>

#include "engine/base/arena.h"
#include "engine/base/checked.h"
#include "engine/plan/memory_model.h"
#include "engine/topk/sort_keys.h"

namespace simtile::search {

using kernels::kColumnMask;
using kernels::kQueryShift;

namespace {

template <typename Vector>
void grow(Vector& vector, std::size_t size) {
  if (vector.size() < size) vector.resize(size);
}

// A chunk's rows as f32 stay in a core's second-level cache, beside what meets them.
std::uint64_t rows_of_chunk(std::uint64_t dims, std::uint64_t bytes, std::uint64_t multiple) noexcept {
  const std::uint64_t rows = bytes / (dims * sizeof(float));
  return std::clamp<std::uint64_t>(rows / multiple * multiple, multiple, 1024 / multiple * multiple);
}

}  // namespace

void DenseScan::run(const BaseRows& base, std::span<const SearchQuery> queries, Metric metric, SearchResults& results) {
  metric_ = metric;
  larger_better_ = topk::larger_is_better(metric);
  few_ = queries.size() <= kFewQueries;
  constexpr std::uint64_t kFewBytes = 128 << 10, kManyBytes = 512 << 10;
  chunk_rows_ = few_ ? rows_of_chunk(base.dims(), kFewBytes, kernels::kRowsAtOnce)
                     : rows_of_chunk(base.dims(), kManyBytes, kernel_->base_width);
  take_queries(base, queries);
  for (Thread& thread : threads_) make_room(base, thread);
  parallel_pieces(0, divide_up(base.rows(), chunk_rows_), 1, [&](std::uint64_t first_chunk, std::uint64_t end_chunk) {
    Thread& thread = threads_[thread_in_arena()];
    for (std::uint64_t chunk = first_chunk; chunk < end_chunk; ++chunk) {
      const std::uint64_t first = chunk * chunk_rows_;
      const std::uint64_t rows = std::min(chunk_rows_, base.rows() - first);
      if (few_)
        score_few(base, first, rows, thread);
      else
        score_many(base, first, rows, thread);
    }
  });
  gather(results);
}

void DenseScan::take_queries(const BaseRows& base, std::span<const SearchQuery> queries) {
  const auto dims = static_cast<std::size_t>(base.dims());
  const std::size_t width = few_ ? kernel_->row_query_width : kernel_->query_width;
  queries_ = queries.size();
  grow(query_rows_, queries_ * dims);
  grow(query_panels_, round_up(queries_, width) * dims);
  top_k_.clear();
  excluded_.clear();
  excluded_ends_.clear();
  bounds_.clear();
  for (std::size_t q = 0; q < queries_; ++q) {
    float* row = query_rows_.data() + q * dims;
    std::copy(queries[q].vector.begin(), queries[q].vector.end(), row);
    if (metric_ == Metric::kCosine) BaseRows::scale_to_unit(row, dims);
    top_k_.push_back(std::min(queries[q].top_k, base.rows()));
    bounds_.append(topk::bound_of_min_score(larger_better_, queries[q].min_score));
    excluded_.insert(excluded_.end(), queries[q].exclude_rows.begin(), queries[q].exclude_rows.end());
    std::sort(excluded_.end() - static_cast<std::ptrdiff_t>(queries[q].exclude_rows.size()), excluded_.end());
    excluded_ends_.push_back(excluded_.size());
  }
  const kernels::PackPanel pack = few_ ? kernel_->pack_row_query_panel : kernel_->pack_query_panel;
  for (std::size_t q = 0; q < queries_; q += width)
    pack(query_rows_.data() + q * dims, dims, static_cast<std::uint32_t>(std::min(width, queries_ - q)),
         static_cast<std::uint32_t>(dims), query_panels_.data() + q * dims);
  if (few_) {
    const bool of_integers = base.type() == ElementType::kI8 || base.type() == ElementType::kU8;
    if (of_integers) grow(integer_query_rows_, queries_ * dims);
    look_.set_queries(metric_, query_rows_.data(), queries_, dims, of_integers ? integer_query_rows_.data() : nullptr);
  }
}

void DenseScan::make_room(const BaseRows& base, Thread& thread) const {
  const auto dims = static_cast<std::size_t>(base.dims());
  const auto columns = static_cast<std::size_t>(chunk_rows_);
  thread.lists.reset(top_k_);
  grow(thread.rows,
       few_ ? static_cast<std::size_t>(plan::few_query_room_floats(queries_, columns, dims)) : columns * dims);
  std::size_t pairs = 0;
  if (few_) {
    grow(thread.factors, columns);
    thread.look_pace = {};
    const std::size_t padded = round_up(queries_, kernel_->row_query_width);
    grow(thread.query_thresholds, padded);
    pairs = padded * columns;
  } else {
    grow(thread.panels, columns * dims);
    grow(thread.partial_scores, kernel_->query_width * columns);
    grow(thread.query_thresholds, kernel_->query_width);
    grow(thread.base_thresholds, columns);
    pairs = kernel_->query_width * columns;
  }
  const std::size_t room = pairs + kernels::kSurvivorSlack;
  grow(thread.survivor_scores, 2 * room);
  grow(thread.survivor_pairs, 2 * room);
  thread.survivors = {thread.survivor_scores.data(), thread.survivor_pairs.data(), 0};
  thread.for_bases = {thread.survivor_scores.data() + room, thread.survivor_pairs.data() + room, 0};
}

float DenseScan::threshold(std::size_t query, std::uint64_t first_row) const noexcept {
  return topk::threshold_score(larger_better_, bounds_.load(query), first_row);
}

void DenseScan::score_few(const BaseRows& base, std::uint64_t first, std::uint64_t rows, Thread& thread) {
  float* thresholds = thread.query_thresholds.data();
  bool some_open = false;
  for (std::size_t q = 0; q < queries_; ++q) {
    thresholds[q] = threshold(q, first);
    some_open = some_open || bounds_.load(q) == topk::kNoBound;
  }
  std::fill(thresholds + queries_, thresholds + round_up(queries_, kernel_->row_query_width),
            std::numeric_limits<float>::quiet_NaN());
  if (!some_open && base.has_factors() && thread.look_pace.looks())
    look_at_rows(base, first, rows, thread);
  else
    score_rows_where_they_lie(base, first, rows, thread);
  drain(first, thread);
}

void DenseScan::look_at_rows(const BaseRows& base, std::uint64_t first, std::uint64_t rows, Thread& thread) {
  const BaseRows::StoredView view = base.stored_view(first, rows, thread.factors.data());
  const std::uint64_t left = look_.score(
      {view.rows, view.stride_bytes, base.type(), thread.factors.data(), static_cast<std::uint32_t>(rows)},
      thread.query_thresholds.data(), 0, [&](std::uint32_t row, float* values) { base.decode(first + row, values); },
      thread.rows.data(), thread.survivors);
  thread.look_pace.on_look(left, round_up(queries_, kernel_->row_query_width) * rows);
}

void DenseScan::score_rows_where_they_lie(const BaseRows& base, std::uint64_t first, std::uint64_t rows,
                                          Thread& thread) {
  const BaseRows::View view = base.view(first, rows, thread.rows.data());
  const kernels::RowStrip strip{query_panels_.data(),
                                view.values,
                                thread.query_thresholds.data(),
                                view.stride,
                                static_cast<std::uint32_t>(base.dims()),
                                static_cast<std::uint32_t>(divide_up(queries_, kernel_->row_query_width)),
                                static_cast<std::uint32_t>(rows),
                                0};
  (metric_ == Metric::kL2 ? kernel_->squared_l2_rows : kernel_->inner_product_rows)(strip, thread.survivors);
}

void DenseScan::score_many(const BaseRows& base, std::uint64_t first, std::uint64_t rows, Thread& thread) {
  const auto dims = static_cast<std::uint32_t>(base.dims());
  const std::uint32_t width = kernel_->base_width;
  const BaseRows::View view = base.view(first, rows, thread.rows.data());
  for (std::uint64_t r = 0; r < rows; r += width)
    kernel_->pack_base_panel(view.values + r * view.stride, view.stride,
                             static_cast<std::uint32_t>(std::min<std::uint64_t>(width, rows - r)), dims,
                             thread.panels.data() + r * dims);
  // Base rows want nothing for themselves, and padding nothing at all.
  const std::uint64_t padded = round_up(rows, width);
  std::fill_n(thread.base_thresholds.data(), rows, topk::closed_threshold(larger_better_));
  std::fill(thread.base_thresholds.data() + rows, thread.base_thresholds.data() + padded,
            std::numeric_limits<float>::quiet_NaN());
  kernels::Strip strip{};
  strip.base_panels = thread.panels.data();
  strip.query_thresholds = thread.query_thresholds.data();
  strip.base_thresholds = thread.base_thresholds.data();
  strip.partial_scores = thread.partial_scores.data();
  strip.dims = dims;
  strip.base_panel_count = static_cast<std::uint32_t>(padded / width);
  const kernels::ScoreStrip score = metric_ == Metric::kL2 ? kernel_->squared_l2 : kernel_->inner_product;
  for (std::size_t q = 0; q < queries_; q += kernel_->query_width) {
    strip.query_panel = query_panels_.data() + q * dims;
    strip.query_rows = static_cast<std::uint32_t>(std::min<std::size_t>(kernel_->query_width, queries_ - q));
    strip.first_pair = static_cast<std::uint32_t>(q << kQueryShift);
    float* thresholds = thread.query_thresholds.data();
    for (std::uint32_t i = 0; i < strip.query_rows; ++i) thresholds[i] = threshold(q + i, first);
    std::fill(thresholds + strip.query_rows, thresholds + kernel_->query_width, topk::closed_threshold(larger_better_));
    thread.for_bases.count = 0;
    score(strip, thread.survivors, thread.for_bases);
    drain(first, thread);
  }
}

void DenseScan::drain(std::uint64_t first_row, Thread& thread) {
  for (std::uint32_t i = 0; i < thread.survivors.count; ++i) {
    const std::size_t query = thread.survivors.pairs[i] >> kQueryShift;
    const std::uint64_t row = first_row + (thread.survivors.pairs[i] & kColumnMask);
    if (is_excluded(query, row)) continue;
    thread.lists.insert(query,
                        topk::make_key(larger_better_, thread.survivors.scores[i], static_cast<std::uint32_t>(row)),
                        bounds_, kernel_->prune_keys);
  }
  thread.survivors.count = 0;
}

bool DenseScan::is_excluded(std::size_t query, std::uint64_t row) const noexcept {
  const auto at = [&](std::size_t end) { return excluded_.begin() + static_cast<std::ptrdiff_t>(end); };
  return std::binary_search(at(query == 0 ? 0 : excluded_ends_[query - 1]), at(excluded_ends_[query]), row);
}

void DenseScan::gather(SearchResults& results) {
  for (std::size_t q = 0; q < queries_; ++q) {
    gathered_.clear();
    for (const Thread& thread : threads_) {
      const std::span<const topk::Key> keys = thread.lists.keys(q);
      gathered_.insert(gathered_.end(), keys.begin(), keys.end());
    }
    topk::sort_keys(gathered_.data(), gathered_.size());
    const std::size_t kept = std::min<std::size_t>(gathered_.size(), static_cast<std::size_t>(top_k_[q]));
    for (std::size_t i = 0; i < kept; ++i)
      results.append({topk::key_row(gathered_[i]), topk::key_score(larger_better_, gathered_[i])});
    results.end_query();
  }
}

}  // namespace simtile::search
