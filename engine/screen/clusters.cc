#include "engine/screen/clusters.h"

#include <algorithm>
#include <numeric>

#include "engine/base/arena.h"
#include "engine/base/checked.h"
#include "engine/storage/row_norm.h"

namespace simtile::screen {
namespace {

constexpr int kClusterIterations = 2;
constexpr std::uint64_t kSampledPerCluster = 12;
constexpr std::uint64_t kClusterSampleRows = 12;  // the sample is pieces of consecutive rows
constexpr std::uint64_t kAssignedRows = 168;      // a multiple of every kernel's query width

}  // namespace

Centres::Centres(PageBudget& budget, const kernels::TileKernel& kernel, ScreenRows& rows, const ClusterOptions& options)
    : kernel_(&kernel),
      options_(options),
      count_(std::min(options.clusters, rows.body().rows)),
      stride_(options.dims + 1),
      values_(count_ * stride_),
      packed_(budget, kernel, count_, stride_) {
  const std::uint64_t all = rows.body().rows;
  const std::uint64_t sampled = std::min(all, count_ * kSampledPerCluster);
  std::vector<float> sample(sampled * stride_);
  const std::uint64_t pieces = divide_up(sampled, kClusterSampleRows);
  for (std::uint64_t piece = 0; piece < pieces; ++piece) {
    const std::uint64_t taken = piece * kClusterSampleRows;
    const std::uint64_t first = taken + (pieces > 1 ? (all - sampled) / (pieces - 1) * piece : 0);
    read_coordinates(rows, first, std::min(kClusterSampleRows, sampled - taken), sample.data() + taken * stride_);
  }
  for (std::uint64_t c = 0; c < count_; ++c) set_centre(c, sample.data() + c * sampled / count_ * stride_);
  for (int i = 0; i < kClusterIterations; ++i) improve(sample);
}

void Centres::read_coordinates(ScreenRows& rows, std::uint64_t first, std::uint64_t count, float* coordinates) const {
  ScreenRows::Window window = rows.window(first, count);
  window.load(0, count);
  for (std::uint64_t r = 0; r < count; ++r, coordinates += stride_) {
    const auto scale = static_cast<float>(options_.unit_norm ? inverse_norm(window.norm(r)) : 1.0);
    const float* prefix = window.prefix(r);
    for (std::uint64_t d = 0; d < options_.dims; ++d) coordinates[d] = prefix[d] * scale;
    coordinates[options_.dims] = 1.0f;
  }
  window.close();
}

void Centres::set_centre(std::uint64_t centre, const float* coordinates) {
  float* values = values_.data() + centre * stride_;
  std::copy_n(coordinates, options_.dims, values);
  values[options_.dims] = -0.5f * std::inner_product(values, values + options_.dims, values, 0.0f);
  packed_.set_row(centre, values);
}

void Centres::assign_piece(const float* coordinates, std::uint64_t rows, PanelScratch& scratch, float* products,
                           std::uint32_t* nearest) const {
  const std::uint32_t width = kernel_->query_width;
  for (std::uint64_t done = 0; done < rows; done += width) {
    const auto count = static_cast<std::uint32_t>(std::min<std::uint64_t>(width, rows - done));
    multiply_panel(*kernel_, coordinates + done * stride_, stride_, count, packed_, scratch, products,
                   packed_.padded_rows());
    for (std::uint32_t r = 0; r < count; ++r) {
      const float* row = products + r * packed_.padded_rows();
      nearest[done + r] = static_cast<std::uint32_t>(std::max_element(row, row + count_) - row);
    }
  }
}

void Centres::improve(const std::vector<float>& sample) {
  const std::uint64_t rows = sample.size() / stride_;
  std::vector<std::uint32_t> nearest(rows);
  parallel_for_each(options_.workers.threads, 0, divide_up(rows, kAssignedRows), 1, [&](std::uint64_t piece) {
    if (options_.workers.stopped()) return;
    PanelScratch scratch(*kernel_, packed_);
    std::vector<float> products(scratch.partial.size());
    const std::uint64_t first = piece * kAssignedRows;
    assign_piece(sample.data() + first * stride_, std::min(kAssignedRows, rows - first), scratch, products.data(),
                 nearest.data() + first);
  });
  std::vector<float> sums(values_.size());
  std::vector<std::uint64_t> members(count_);
  for (std::uint64_t i = 0; i < rows; ++i) {
    ++members[nearest[i]];
    for (std::uint64_t d = 0; d < options_.dims; ++d) sums[nearest[i] * stride_ + d] += sample[i * stride_ + d];
  }
  for (std::uint64_t c = 0; c < count_; ++c) {
    if (members[c] == 0) continue;  // stays where it is
    float* sum = sums.data() + c * stride_;
    for (std::uint64_t d = 0; d < options_.dims; ++d) sum[d] /= static_cast<float>(members[c]);
    set_centre(c, sum);
  }
}

std::vector<std::uint32_t> Centres::assign(ScreenRows& rows) const {
  const std::uint64_t all = rows.body().rows;
  std::vector<std::uint32_t> nearest(all);
  parallel_for_each(options_.workers.threads, 0, divide_up(all, kAssignedRows), 1, [&](std::uint64_t piece) {
    if (options_.workers.stopped()) return;
    PanelScratch scratch(*kernel_, packed_);
    std::vector<float> products(scratch.partial.size());
    std::vector<float> coordinates(kAssignedRows * stride_);
    const std::uint64_t first = piece * kAssignedRows;
    const std::uint64_t count = std::min(kAssignedRows, all - first);
    read_coordinates(rows, first, count, coordinates.data());
    assign_piece(coordinates.data(), count, scratch, products.data(), nearest.data() + first);
  });
  return nearest;
}

std::vector<std::uint32_t> Centres::by_distance_from(std::uint64_t centre) const {
  std::vector<float> closeness(count_);
  const float* from = values_.data() + centre * stride_;
  for (std::uint64_t c = 0; c < count_; ++c) {
    const float* to = values_.data() + c * stride_;
    closeness[c] = std::inner_product(from, from + options_.dims, to, to[options_.dims]);
  }
  closeness[centre] = std::numeric_limits<float>::infinity();
  std::vector<std::uint32_t> order(count_);
  std::iota(order.begin(), order.end(), 0u);
  std::sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) {
    return closeness[a] != closeness[b] ? closeness[a] > closeness[b] : a < b;
  });
  return order;
}

RowsByCluster::RowsByCluster(const std::vector<std::uint32_t>& cluster_of_row, std::uint64_t clusters)
    : starts(clusters + 1), rows(cluster_of_row.size()) {
  for (const std::uint32_t cluster : cluster_of_row) ++starts[cluster + 1];
  std::partial_sum(starts.begin(), starts.end(), starts.begin());
  std::vector<std::uint64_t> next(starts.begin(), starts.end() - 1);
  for (std::size_t row = 0; row < cluster_of_row.size(); ++row)
    rows[next[cluster_of_row[row]]++] = static_cast<std::uint32_t>(row);
}

}  // namespace simtile::screen
