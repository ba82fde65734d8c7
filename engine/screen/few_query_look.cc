#include "engine/screen/few_query_look.h"

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

void FewQueryLook::set_queries(Metric metric, const float* rows, std::size_t count, std::uint64_t dims) {
  metric_ = metric;
  queries_ = rows;
  dims_ = static_cast<std::uint32_t>(dims);
  const ScreenMargin margin = ScreenMargin::of_whole_rows(dims);
  slack_ = static_cast<float>(margin.slack());
  query_norms_.clear();
  for (std::size_t q = 0; q < count; ++q) {
    const double norm = row_norm(rows + q * dims, static_cast<std::size_t>(dims));
    const bool is_bounded = margin.is_usable() && (norm == 0.0 || ScreenMargin::fits(norm));
    query_norms_.push_back(is_bounded ? static_cast<float>(norm) : kUnknown);
  }
}

std::uint32_t FewQueryLook::find(const BaseRows& bases, const float* thresholds, float* room,
                                 std::uint32_t* pairs) const noexcept {
  const auto queries = static_cast<std::uint32_t>(query_norms_.size());
  float* products = room;
  float* factors = room + std::size_t{queries} * bases.count;
  float* norms = factors + bases.count;  // of the rows as the metric takes them
  const kernels::MultiplyStoredRows multiply = kernels::multiply_stored_rows_of(*kernel_, bases.type);
  multiply({queries_, bases.stored, bases.stride_bytes, dims_, queries, bases.count, products, norms});
  for (std::uint32_t b = 0; b < bases.count; ++b) {
    const double stored = std::sqrt(static_cast<double>(norms[b]));
    const double norm = stored * bases.factors[b];
    factors[b] = static_cast<float>(bases.factors[b]);
    if (ScreenMargin::fits(stored) && ScreenMargin::fits(norm))
      norms[b] = static_cast<float>(norm);
    else if (stored < ScreenMargin::kSmallestNorm && metric_ != Metric::kL2)  // squares may have vanished
      norms[b] = static_cast<float>(1.01 * ScreenMargin::kSmallestNorm / static_cast<double>(slack_)) * factors[b];
    else
      norms[b] = kUnknown;
  }
  std::uint32_t* end = pairs;
  for (std::uint32_t q = 0; q < queries; ++q, products += bases.count) {
    const std::uint32_t first_pair = q << kernels::kQueryShift;
    const float norm = query_norms_[q];
    if (metric_ == Metric::kL2) {
      const float square = norm * norm * (1.0f - slack_);
      const float largest = thresholds[q] * (1.0f + slack_);
      end = append_pairs(
          first_pair, bases.count,
          [&](std::uint32_t b) {
            const float rest = norms[b] * norms[b] * (1.0f - slack_);
            return !(square + rest - 2.0f * factors[b] * products[b] > largest);
          },
          end);
    } else {
      const float threshold = thresholds[q];
      const float share = slack_ * norm;
      end = append_pairs(
          first_pair, bases.count,
          [&](std::uint32_t b) { return !(factors[b] * products[b] + share * norms[b] < threshold); }, end);
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
  score_pairs(queries_, decoded, dims_, pairs, count, scores);
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
