#include "engine/screen/few_query_look.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/storage/row_norm.h"

namespace simtile::screen {
namespace {

// The norm of a row that the margin does not take: comparisons are put so that what is not a number passes.
constexpr float kUnknown = std::numeric_limits<float>::quiet_NaN();

// The numbers of the values that `passes`, behind `first_pair`.
template <typename Passes>
std::uint32_t* append_pairs(std::uint32_t first_pair, std::uint32_t count, Passes passes, std::uint32_t* pairs) {
  for (std::uint32_t b = 0; b < count; ++b) {
    *pairs = first_pair + b;
    pairs += passes(b) ? 1 : 0;
  }
  return pairs;
}

}  // namespace

void FewQueryLook::set_queries(Metric metric, const float* rows, std::size_t count, std::uint64_t dims,
                               std::int16_t* integer_rows) {
  metric_ = metric;
  rows_ = rows;
  integer_rows_ = integer_rows;
  dims_ = static_cast<std::uint32_t>(dims);
  const ScreenMargin margin = ScreenMargin::of_whole_rows(dims);
  slack_ = static_cast<float>(margin.slack());
  queries_.clear();
  for (std::size_t q = 0; q < count; ++q) {
    const float* row = rows + q * dims;
    const double norm = row_norm(row, static_cast<std::size_t>(dims));
    const bool is_bounded = margin.is_usable() && (norm == 0.0 || ScreenMargin::fits(norm));
    Query& query = queries_.emplace_back(Query{is_bounded ? static_cast<float>(norm) : kUnknown, 1.0f, 0.0f});
    if (integer_rows != nullptr) round_to_integers(row, static_cast<std::size_t>(dims), query, integer_rows + q * dims);
  }
}

// Of a row of unknown norm all pairs pass: any integers do.
void FewQueryLook::round_to_integers(const float* row, std::size_t dims, Query& query,
                                     std::int16_t* integers) noexcept {
  float largest = 0.0f;
  for (std::size_t d = 0; d < dims; ++d) largest = std::max(largest, std::abs(row[d]));
  if (!(query.norm > 0.0f)) {
    std::fill_n(integers, dims, std::int16_t{0});
    return;
  }
  query.unit = largest / kernels::kLargestQueryInteger;
  const auto unit = static_cast<double>(query.unit);
  double squares = 0.0;
  for (std::size_t d = 0; d < dims; ++d) {
    const double whole = std::nearbyint(static_cast<double>(row[d]) / unit);
    const double left = static_cast<double>(row[d]) - whole * unit;
    integers[d] = static_cast<std::int16_t>(whole);
    squares += left * left;
  }
  query.rounding = static_cast<float>(1.01 * std::sqrt(squares));
}

// From the stored rows' squares to the norms of the rows as the metric takes them, or no less. Of rows that are zero by
// their factor no more is known than that they were finite.
void FewQueryLook::bound_norms(const BaseRows& bases, float* factors, float* norms) const noexcept {
  constexpr auto kSmallest = static_cast<float>(ScreenMargin::kSmallestNorm);
  constexpr auto kLargest = static_cast<float>(ScreenMargin::kLargestNorm);
  // Squares of tiny values may have vanished. A distance needs more than a bound.
  const float of_tiny = metric_ == Metric::kL2 ? kUnknown : 1.01f * kSmallest / slack_;
  for (std::uint32_t b = 0; b < bases.count; ++b) {
    const auto factor = static_cast<float>(bases.factors[b]);
    const bool is_zero = bases.factors[b] == 0.0;  // a factor that vanishes in binary32 leaves values that do not
    const float stored = std::sqrt(norms[b]);
    const float norm = stored * factor;
    factors[b] = factor;
    if (stored >= kSmallest && stored <= kLargest && (is_zero || (norm >= kSmallest && norm <= kLargest)))
      norms[b] = norm;
    else
      norms[b] = stored < kSmallest && (is_zero || factor >= kSmallest) ? of_tiny * factor : kUnknown;
  }
}

std::uint32_t FewQueryLook::find(const BaseRows& bases, const float* thresholds, float* room,
                                 std::uint32_t* pairs) const noexcept {
  const auto queries = static_cast<std::uint32_t>(queries_.size());
  float* products = room;
  float* factors = room + std::size_t{queries} * bases.count;
  float* norms = factors + bases.count;
  const bool is_l2 = metric_ == Metric::kL2;
  kernels::multiply_stored_rows_of(*kernel_, bases.type)({.queries = rows_,
                                                          .integer_queries = integer_rows_,
                                                          .base_rows = bases.stored,
                                                          .base_row_stride = bases.stride_bytes,
                                                          .dims = dims_,
                                                          .query_count = queries,
                                                          .base_count = bases.count,
                                                          .exact_squares = is_l2,
                                                          .products = products,
                                                          .squares = norms});
  bound_norms(bases, factors, norms);
  const bool of_integers = bases.type == ElementType::kI8 || bases.type == ElementType::kU8;
  std::uint32_t* end = pairs;
  for (std::uint32_t q = 0; q < queries; ++q, products += bases.count) {
    const std::uint32_t first_pair = q << kernels::kQueryShift;
    const Query& query = queries_[q];
    const float unit = of_integers ? query.unit : 1.0f;
    const float rounding = of_integers ? query.rounding : 0.0f;
    if (is_l2) {
      const float square = query.norm * query.norm * (1.0f - slack_);
      const float largest = thresholds[q] * (1.0f + slack_);
      end = append_pairs(
          first_pair, bases.count,
          [&](std::uint32_t b) {
            const float rest = norms[b] * norms[b] * (1.0f - slack_);
            const float product = factors[b] * (unit * products[b]) + rounding * norms[b];
            return !(square + rest - 2.0f * product > largest);
          },
          end);
    } else {
      const float threshold = thresholds[q];
      const float share = slack_ * query.norm + rounding;
      end = append_pairs(
          first_pair, bases.count,
          [&](std::uint32_t b) { return !(factors[b] * (unit * products[b]) + share * norms[b] < threshold); }, end);
    }
  }
  return static_cast<std::uint32_t>(end - pairs);
}

void FewQueryLook::score_by_definition(const float* decoded, const float* thresholds, const std::uint16_t* row_at,
                                       std::uint32_t count, std::uint32_t first_pair,
                                       kernels::Survivors& survivors) const noexcept {
  std::uint32_t* pairs = survivors.pairs + survivors.count;
  float* scores = survivors.scores + survivors.count;
  const bool is_l2 = metric_ == Metric::kL2;
  const kernels::RescorePairs score_pairs =
      is_l2 ? kernel_->squared_l2_of_row_pairs : kernel_->inner_product_of_row_pairs;
  score_pairs(rows_, decoded, dims_, pairs, count, scores);
  for (std::uint32_t i = 0; i < count; ++i) {
    const float threshold = thresholds[pairs[i] >> kernels::kQueryShift];
    const bool passes = is_l2 ? scores[i] <= threshold : scores[i] >= threshold;
    const std::uint32_t place = pairs[i] & kernels::kColumnMask;
    survivors.scores[survivors.count] = scores[i];
    survivors.pairs[survivors.count] = first_pair + pairs[i] - place + row_at[place];
    survivors.count += passes ? 1 : 0;
  }
}

}  // namespace simtile::screen
