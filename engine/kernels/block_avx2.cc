// AVX2 and FMA. Nothing from the standard library may be instantiated here: this file's flags must not leak into shared
// inline code.
#include <immintrin.h>

#include "engine/kernels/avx2_survivors.h"
#include "engine/kernels/block_kernel.h"

namespace simtile::kernels {
namespace {

// So many columns of scores stay in registers while a run of dense columns is added to them.
constexpr std::uint32_t kChunk = 64;
constexpr std::uint32_t kRun = 64;

struct Term {
  const float* dense;
  float value;
};

template <std::uint32_t kVectors>
inline __attribute__((always_inline)) void add_chunk(const Term* terms, std::uint32_t count, std::uint32_t at,
                                                     float* scores) {
  __m256 sum[kVectors];
#pragma GCC unroll 8
  for (std::uint32_t v = 0; v < kVectors; ++v) sum[v] = _mm256_loadu_ps(scores + at + v * kLanes);
  for (std::uint32_t t = 0; t < count; ++t) {
    const __m256 value = _mm256_set1_ps(terms[t].value);
#pragma GCC unroll 8
    for (std::uint32_t v = 0; v < kVectors; ++v)
      sum[v] = _mm256_fmadd_ps(value, _mm256_loadu_ps(terms[t].dense + at + v * kLanes), sum[v]);
  }
#pragma GCC unroll 8
  for (std::uint32_t v = 0; v < kVectors; ++v) _mm256_storeu_ps(scores + at + v * kLanes, sum[v]);
}

void add_dense_run(const Term* terms, std::uint32_t count, std::uint32_t width, float* scores) {
  std::uint32_t at = 0;
  for (; at + kChunk <= width; at += kChunk) add_chunk<kChunk / kLanes>(terms, count, at, scores);
  for (; at < width; at += kLanes) add_chunk<1>(terms, count, at, scores);
}

void score_sparse_row(const PostingsBlock& bases, const std::uint32_t* columns, const float* values, std::size_t count,
                      float* scores) {
  for (std::uint32_t b = 0; b < bases.width; b += kLanes) _mm256_storeu_ps(scores + b, _mm256_setzero_ps());
  Term run[kRun];
  std::uint32_t run_length = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const ColumnPostings postings = bases.columns[columns[i]];
    if (postings.count == kDenseColumn) {
      run[run_length++] = {bases.dense + static_cast<std::size_t>(postings.start) * bases.width, values[i]};
      if (run_length < kRun) continue;
    } else if (postings.count == 0) {
      continue;
    }
    if (run_length != 0) add_dense_run(run, run_length, bases.width, scores);
    run_length = 0;
    if (postings.count == kDenseColumn) continue;
    const float* value = bases.values + postings.start;
    const std::uint32_t* row = bases.rows + postings.start;
    for (std::uint32_t p = 0; p < postings.count; ++p)
      scores[row[p]] = __builtin_fmaf(values[i], value[p], scores[row[p]]);
  }
  if (run_length != 0) add_dense_run(run, run_length, bases.width, scores);
}

void add_weighted(float weight, const float* scores, std::size_t count, float* sums) {
  const __m256 weights = _mm256_set1_ps(weight);
  for (std::size_t i = 0; i < count; i += kLanes)
    _mm256_storeu_ps(sums + i, _mm256_fmadd_ps(weights, _mm256_loadu_ps(scores + i), _mm256_loadu_ps(sums + i)));
}

void compare_scores(const ScoreBlock& block, Survivors& for_queries, Survivors& for_bases) {
  for (std::uint32_t q = 0; q < block.query_rows; ++q) {
    const float* scores = block.scores + q * block.stride;
    const __m256 for_query = _mm256_set1_ps(block.query_thresholds[q]);
    for (std::uint32_t b = 0; b < block.columns; b += kLanes) {
      const __m256 score = _mm256_loadu_ps(scores + b);
      const __m256 for_base = _mm256_loadu_ps(block.base_thresholds + b);
      // NaN when the base's is: padding passes nothing.
      const std::uint32_t hit = ProductThresholds::passes(score, _mm256_min_ps(for_query, for_base));
      if (__builtin_expect(hit == 0, 1)) continue;
      const std::uint32_t first_pair = block.first_pair + (q << kQueryShift) + b;
      append(hit & ProductThresholds::passes(score, for_query), scores + b, first_pair, for_queries);
      append(hit & ProductThresholds::passes(score, for_base), scores + b, first_pair, for_bases);
    }
  }
}

void compare_bounds(const ScoreBlock& block, Survivors& for_either) {
  for (std::uint32_t q = 0; q < block.query_rows; ++q) {
    const float* bounds = block.scores + q * block.stride;
    const __m256 for_query = _mm256_set1_ps(block.query_thresholds[q]);
    for (std::uint32_t b = 0; b < block.columns; b += kLanes) {
      const __m256 for_base = _mm256_loadu_ps(block.base_thresholds + b);
      const __m256 below = _mm256_cmp_ps(_mm256_loadu_ps(bounds + b), _mm256_min_ps(for_query, for_base), _CMP_LT_OQ);
      const __m256 exists = _mm256_cmp_ps(for_base, for_base, _CMP_ORD_Q);
      const auto hit = static_cast<std::uint32_t>(_mm256_movemask_ps(_mm256_andnot_ps(below, exists)));
      if (__builtin_expect(hit == 0, 1)) continue;
      append(hit, bounds + b, block.first_pair + (q << kQueryShift) + b, for_either);
    }
  }
}

}  // namespace

const BlockKernel kAvx2BlockKernel{score_sparse_row, add_weighted, compare_scores, compare_bounds};

}  // namespace simtile::kernels
