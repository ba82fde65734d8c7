// AVX-512F. Nothing from the standard library may be instantiated here: this file's flags must not leak into shared
// inline code.
#include <immintrin.h>

#include "engine/kernels/block_kernel.h"

namespace simtile::kernels {
namespace {

constexpr std::uint32_t kLanes = 16;
// So many columns of scores stay in registers while a run of dense columns is added to them.
constexpr std::uint32_t kChunk = 256;
constexpr std::uint32_t kRun = 64;

struct Term {
  const float* dense;
  float value;
};

template <std::uint32_t kVectors>
inline __attribute__((always_inline)) void add_chunk(const Term* terms, std::uint32_t count, std::uint32_t at,
                                                     float* scores) {
  __m512 sum[kVectors];
#pragma GCC unroll 16
  for (std::uint32_t v = 0; v < kVectors; ++v) sum[v] = _mm512_loadu_ps(scores + at + v * kLanes);
  for (std::uint32_t t = 0; t < count; ++t) {
    const __m512 value = _mm512_set1_ps(terms[t].value);
#pragma GCC unroll 16
    for (std::uint32_t v = 0; v < kVectors; ++v)
      sum[v] = _mm512_fmadd_ps(value, _mm512_loadu_ps(terms[t].dense + at + v * kLanes), sum[v]);
  }
#pragma GCC unroll 16
  for (std::uint32_t v = 0; v < kVectors; ++v) _mm512_storeu_ps(scores + at + v * kLanes, sum[v]);
}

void add_dense_run(const Term* terms, std::uint32_t count, std::uint32_t width, float* scores) {
  std::uint32_t at = 0;
  for (; at + kChunk <= width; at += kChunk) add_chunk<kChunk / kLanes>(terms, count, at, scores);
  for (; at < width; at += 2 * kLanes) add_chunk<2>(terms, count, at, scores);
}

// Rows are distinct within a list, so the lanes of a scatter never collide.
inline void add_list(const float* values, const std::uint32_t* rows, std::uint32_t count, float factor, float* scores) {
  const __m512 factors = _mm512_set1_ps(factor);
  for (std::uint32_t i = 0; i < count; i += kLanes) {
    const std::uint32_t left = count - i;
    const auto mask = static_cast<__mmask16>(left >= kLanes ? 0xffffu : (1u << left) - 1u);
    const __m512i at = _mm512_maskz_loadu_epi32(mask, rows + i);
    const __m512 old = _mm512_mask_i32gather_ps(_mm512_setzero_ps(), mask, at, scores, 4);
    const __m512 sum = _mm512_fmadd_ps(factors, _mm512_maskz_loadu_ps(mask, values + i), old);
    _mm512_mask_i32scatter_ps(scores, mask, at, sum, 4);
  }
}

void score_sparse_row(const PostingsBlock& bases, const std::uint32_t* columns, const float* values, std::size_t count,
                      float* scores) {
  for (std::uint32_t b = 0; b < bases.width; b += kLanes) _mm512_storeu_ps(scores + b, _mm512_setzero_ps());
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
    add_list(bases.values + postings.start, bases.rows + postings.start, postings.count, values[i], scores);
  }
  if (run_length != 0) add_dense_run(run, run_length, bases.width, scores);
}

void add_weighted(float weight, const float* scores, std::size_t count, float* sums) {
  const __m512 weights = _mm512_set1_ps(weight);
  for (std::size_t i = 0; i < count; i += kLanes)
    _mm512_storeu_ps(sums + i, _mm512_fmadd_ps(weights, _mm512_loadu_ps(scores + i), _mm512_loadu_ps(sums + i)));
}

inline void append(__mmask16 mask, __m512 scores, __m512i pairs, Survivors& survivors) {
  // Whole-register stores of the compressed lanes: the survivor arrays have kSurvivorSlack behind them.
  _mm512_storeu_ps(survivors.scores + survivors.count, _mm512_maskz_compress_ps(mask, scores));
  _mm512_storeu_si512(survivors.pairs + survivors.count, _mm512_maskz_compress_epi32(mask, pairs));
  survivors.count += static_cast<std::uint32_t>(__builtin_popcount(mask));
}

void compare_scores(const ScoreBlock& block, Survivors& for_queries, Survivors& for_bases) {
  const __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  for (std::uint32_t q = 0; q < block.query_rows; ++q) {
    const float* scores = block.scores + q * block.stride;
    const __m512 for_query = _mm512_set1_ps(block.query_thresholds[q]);
    for (std::uint32_t b = 0; b < block.columns; b += kLanes) {
      const __m512 score = _mm512_loadu_ps(scores + b);
      const __m512 for_base = _mm512_loadu_ps(block.base_thresholds + b);
      // NaN when the base's is: padding passes nothing.
      const __mmask16 hit = _mm512_cmp_ps_mask(score, _mm512_min_ps(for_query, for_base), _CMP_GE_OQ);
      if (__builtin_expect(hit == 0, 1)) continue;
      const std::uint32_t first_pair = block.first_pair + (q << kQueryShift) + b;
      const __m512i pairs = _mm512_add_epi32(_mm512_set1_epi32(static_cast<int>(first_pair)), lane);
      append(_mm512_mask_cmp_ps_mask(hit, score, for_query, _CMP_GE_OQ), score, pairs, for_queries);
      append(_mm512_mask_cmp_ps_mask(hit, score, for_base, _CMP_GE_OQ), score, pairs, for_bases);
    }
  }
}

void compare_bounds(const ScoreBlock& block, Survivors& for_either) {
  const __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  for (std::uint32_t q = 0; q < block.query_rows; ++q) {
    const float* bounds = block.scores + q * block.stride;
    const __m512 for_query = _mm512_set1_ps(block.query_thresholds[q]);
    for (std::uint32_t b = 0; b < block.columns; b += kLanes) {
      const __m512 bound = _mm512_loadu_ps(bounds + b);
      const __m512 for_base = _mm512_loadu_ps(block.base_thresholds + b);
      const __mmask16 exists = _mm512_cmp_ps_mask(for_base, for_base, _CMP_ORD_Q);
      const __mmask16 hit = _mm512_mask_cmp_ps_mask(exists, bound, _mm512_min_ps(for_query, for_base), _CMP_NLT_UQ);
      if (__builtin_expect(hit == 0, 1)) continue;
      const std::uint32_t first_pair = block.first_pair + (q << kQueryShift) + b;
      append(hit, bound, _mm512_add_epi32(_mm512_set1_epi32(static_cast<int>(first_pair)), lane), for_either);
    }
  }
}

}  // namespace

const BlockKernel kAvx512BlockKernel{score_sparse_row, add_weighted, compare_scores, compare_bounds};

}  // namespace simtile::kernels
