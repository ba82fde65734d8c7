// The definition of sparse scores and of weighted sums. Every other set must give these bits.
#include <algorithm>
#include <cmath>

#include "engine/base/fma_clones.h"
#include "engine/kernels/block_kernel.h"

namespace simtile::kernels {
namespace {

SIMTILE_WITH_AND_WITHOUT_FMA
void score_sparse_row(const PostingsBlock& bases, const std::uint32_t* columns, const float* values, std::size_t count,
                      float* scores) {
  std::fill_n(scores, bases.width, 0.0f);
  for (std::size_t i = 0; i < count; ++i) {
    const auto [start, postings] = bases.columns[columns[i]];
    if (postings == kDenseColumn) {
      const float* dense = bases.dense + std::size_t{start} * bases.width;
      for (std::uint32_t b = 0; b < bases.width; ++b) scores[b] = std::fma(values[i], dense[b], scores[b]);
      continue;
    }
    for (std::uint32_t p = start; p < start + postings; ++p)
      scores[bases.rows[p]] = std::fma(values[i], bases.values[p], scores[bases.rows[p]]);
  }
}

SIMTILE_WITH_AND_WITHOUT_FMA
void add_weighted(float weight, const float* scores, std::size_t count, float* sums) {
  for (std::size_t i = 0; i < count; ++i) sums[i] = std::fma(weight, scores[i], sums[i]);
}

void append(Survivors& survivors, float score, std::uint32_t pair) {
  survivors.scores[survivors.count] = score;
  survivors.pairs[survivors.count++] = pair;
}

void compare_scores(const ScoreBlock& block, Survivors& for_queries, Survivors& for_bases) {
  for (std::uint32_t q = 0; q < block.query_rows; ++q)
    for (std::uint32_t b = 0; b < block.columns; ++b) {
      if (std::isnan(block.base_thresholds[b])) continue;
      const float score = block.scores[q * block.stride + b];
      const std::uint32_t pair = block.first_pair + (q << kQueryShift) + b;
      if (score >= block.query_thresholds[q]) append(for_queries, score, pair);
      if (score >= block.base_thresholds[b]) append(for_bases, score, pair);
    }
}

void compare_bounds(const ScoreBlock& block, Survivors& for_either) {
  for (std::uint32_t q = 0; q < block.query_rows; ++q)
    for (std::uint32_t b = 0; b < block.columns; ++b) {
      const float bound = block.scores[q * block.stride + b];
      if (std::isnan(block.base_thresholds[b])) continue;
      if (!(bound < block.query_thresholds[q]) || !(bound < block.base_thresholds[b]))
        append(for_either, bound, block.first_pair + (q << kQueryShift) + b);
    }
}

}  // namespace

const BlockKernel kScalarBlockKernel{score_sparse_row, add_weighted, compare_scores, compare_bounds};

}  // namespace simtile::kernels
