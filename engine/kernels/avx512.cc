// AVX-512F: a 14 x 32 outer product. 28 accumulators, two base vectors and one broadcast fill 31 of the 32 registers;
// each dimension costs 16 loads for 28 fused multiply-adds, so the two FMA ports, not the loads, are the limit.
// Nothing from the standard library may be instantiated here: this file's flags must not leak into shared inline code.
#include <immintrin.h>

#include "engine/kernels/avx512_survivors.h"
#include "engine/kernels/prune_keys.h"
#include "engine/kernels/rescore_pairs.h"
#include "engine/kernels/tile_kernel.h"

namespace simtile::kernels {
namespace {

constexpr std::uint32_t kQueryWidth = 14;
constexpr std::uint32_t kBaseWidth = 32;
// A query panel of this many dimensions (14 x 384 floats, 21 KiB) stays in the 32 KiB L1 while base panels stream.
constexpr std::uint32_t kDimsBlock = 384;

struct InnerProduct : ProductThresholds {
  static inline __m512 step(__m512 query, __m512 base, __m512 score) { return _mm512_fmadd_ps(query, base, score); }
};

struct SquaredL2ByProduct : SummedThresholds {
  static inline __m512 step(__m512 query, __m512 base, __m512 score) { return InnerProduct::step(query, base, score); }
};

struct SquaredL2 {
  static constexpr bool kComparesWithSums = false;
  static inline __m512 step(__m512 query, __m512 base, __m512 score) {
    const __m512 difference = _mm512_sub_ps(query, base);
    return _mm512_fmadd_ps(difference, difference, score);
  }
  static inline __m512 weaker(__m512 query_threshold, __m512 base_threshold) {
    return _mm512_max_ps(query_threshold, base_threshold);
  }
  static inline __mmask16 passes(__mmask16 among, __m512 score, __m512 threshold) {
    return _mm512_mask_cmp_ps_mask(among, score, threshold, _CMP_LE_OQ);
  }
};

struct PanelWidths {
  static constexpr std::uint32_t kQuery = kQueryWidth;
  static constexpr std::uint32_t kBase = kBaseWidth;
};
struct Block {
  __m512 score[kQueryWidth][2];
};

template <typename Metric>
inline __attribute__((always_inline)) void accumulate(const float* query, const float* base, std::uint32_t dims,
                                                      Block& block) {
  for (std::uint32_t d = 0; d < dims; ++d) {
    const __m512 base0 = _mm512_loadu_ps(base);
    const __m512 base1 = _mm512_loadu_ps(base + kLanes);
#pragma GCC unroll 14
    for (std::uint32_t q = 0; q < kQueryWidth; ++q) {
      const __m512 broadcast = _mm512_set1_ps(query[q]);
      block.score[q][0] = Metric::step(broadcast, base0, block.score[q][0]);
      block.score[q][1] = Metric::step(broadcast, base1, block.score[q][1]);
    }
    query += kQueryWidth;
    base += kBaseWidth;
  }
}

inline __attribute__((always_inline)) void load_partial(const float* partial, Block& block) {
#pragma GCC unroll 14
  for (std::uint32_t q = 0; q < kQueryWidth; ++q) {
    block.score[q][0] = partial ? _mm512_loadu_ps(partial + q * kBaseWidth) : _mm512_setzero_ps();
    block.score[q][1] = partial ? _mm512_loadu_ps(partial + q * kBaseWidth + kLanes) : _mm512_setzero_ps();
  }
}

inline __attribute__((always_inline)) void store_partial(const Block& block, float* partial) {
#pragma GCC unroll 14
  for (std::uint32_t q = 0; q < kQueryWidth; ++q) {
    _mm512_storeu_ps(partial + q * kBaseWidth, block.score[q][0]);
    _mm512_storeu_ps(partial + q * kBaseWidth + kLanes, block.score[q][1]);
  }
}

// Most blocks hold no survivor: one comparison with the weaker bound of each pair tells. Which side a survivor is for
// is asked only in the query rows that hold one, and appended without a branch: either is as likely as not.
template <typename Metric>
inline __attribute__((always_inline)) void emit(const Block& block, const Strip& strip, std::uint32_t column,
                                                Survivors& for_queries, Survivors& for_bases) {
  constexpr __mmask16 kAll = 0xffff;
  std::uint32_t masks[kQueryWidth];
  std::uint32_t rows_hit = 0;
#pragma GCC unroll 14
  for (std::uint32_t q = 0; q < kQueryWidth; ++q) {
    const Bounds bounds0 = bounds_of<Metric>(strip, q, column);
    const Bounds bounds1 = bounds_of<Metric>(strip, q, column + kLanes);
    const __mmask16 mask0 =
        Metric::passes(kAll, block.score[q][0], Metric::weaker(bounds0.for_query, bounds0.for_base));
    const __mmask16 mask1 =
        Metric::passes(kAll, block.score[q][1], Metric::weaker(bounds1.for_query, bounds1.for_base));
    masks[q] = static_cast<std::uint32_t>(mask0) | (static_cast<std::uint32_t>(mask1) << kLanes);
    rows_hit |= static_cast<std::uint32_t>(masks[q] != 0) << q;
  }
  rows_hit &= (1u << strip.query_rows) - 1u;
  if (__builtin_expect(rows_hit == 0, 1)) return;
  alignas(64) float scores[kQueryWidth * kBaseWidth];
  store_partial(block, scores);
  do {
    const auto q = static_cast<std::uint32_t>(__builtin_ctz(rows_hit));
    rows_hit &= rows_hit - 1;
#pragma GCC unroll 2
    for (std::uint32_t half = 0; half < 2; ++half) {
      const auto hit = static_cast<__mmask16>(masks[q] >> (half * kLanes));
      const __m512 score = _mm512_load_ps(scores + q * kBaseWidth + half * kLanes);
      const __m512i pairs = pair_numbers(strip, q, column + half * kLanes);
      const Bounds bounds = bounds_of<Metric>(strip, q, column + half * kLanes);
      append(Metric::passes(hit, score, bounds.for_query), score, pairs, for_queries);
      append(Metric::passes(hit, score, bounds.for_base), score, pairs, for_bases);
    }
  } while (rows_hit != 0);
}

// A screen lets many pairs through: the lanes of a hit are appended at once, for whichever side they are.
template <typename Metric>
inline __attribute__((always_inline)) void emit_either(const Block& block, const Strip& strip, std::uint32_t column,
                                                       Survivors& for_either) {
#pragma GCC unroll 14
  for (std::uint32_t q = 0; q < kQueryWidth; ++q)
#pragma GCC unroll 2
    for (std::uint32_t half = 0; half < 2; ++half) {
      const Bounds bounds = bounds_of<Metric>(strip, q, column + half * kLanes);
      const __mmask16 all = q < strip.query_rows ? 0xffff : 0;
      const __mmask16 hit =
          Metric::passes(all, block.score[q][half], Metric::weaker(bounds.for_query, bounds.for_base));
      if (__builtin_expect(hit == 0, 1)) continue;
      append(hit, block.score[q][half], pair_numbers(strip, q, column + half * kLanes), for_either);
    }
}

// emit(block, first column) gets each block of finished scores.
template <typename Metric, typename Emit>
inline __attribute__((always_inline)) void for_each_block(const Strip& strip, Emit emit_block) {
  for (std::uint32_t begin = 0; begin < strip.dims; begin += kDimsBlock) {
    const std::uint32_t dims = strip.dims - begin < kDimsBlock ? strip.dims - begin : kDimsBlock;
    const bool last = begin + dims == strip.dims;
    const float* query = strip.query_panel + std::size_t{begin} * kQueryWidth;
    for (std::uint32_t panel = 0; panel < strip.base_panel_count; ++panel) {
      const float* base = strip.base_panels + (std::size_t{panel} * strip.dims + begin) * kBaseWidth;
      float* partial = strip.partial_scores + std::size_t{panel} * kQueryWidth * kBaseWidth;
      Block block;
      load_partial(begin == 0 ? nullptr : partial, block);
      accumulate<Metric>(query, base, dims, block);
      if (last)
        emit_block(block, panel * kBaseWidth);
      else
        store_partial(block, partial);
    }
  }
}

template <typename Metric>
void score_strip(const Strip& strip, Survivors& for_queries, Survivors& for_bases) {
  for_each_block<Metric>(
      strip, [&](const Block& block, std::uint32_t column)
                 __attribute__((always_inline)) { emit<Metric>(block, strip, column, for_queries, for_bases); });
}

template <typename Metric>
void screen_strip(const Strip& strip, Survivors& for_either) {
  for_each_block<Metric>(
      strip, [&](const Block& block, std::uint32_t column)
                 __attribute__((always_inline)) { emit_either<Metric>(block, strip, column, for_either); });
}

void store_inner_products(const Strip& strip, float* scores, std::size_t stride) {
  for_each_block<InnerProduct>(
      strip, [&](const Block& block, std::uint32_t column) __attribute__((always_inline)) {
#pragma GCC unroll 14
        for (std::uint32_t q = 0; q < kQueryWidth; ++q)
          if (q < strip.query_rows) {
            _mm512_storeu_ps(scores + q * stride + column, block.score[q][0]);
            _mm512_storeu_ps(scores + q * stride + column + kLanes, block.score[q][1]);
          }
      });
}

inline __attribute__((always_inline)) float product_of_rows(const float* query, const float* base, std::uint32_t dims) {
  __m512 even = _mm512_setzero_ps();
  __m512 odd = _mm512_setzero_ps();
  std::uint32_t d = 0;
  for (; d + 2 * kLanes <= dims; d += 2 * kLanes) {
    even = _mm512_fmadd_ps(_mm512_loadu_ps(query + d), _mm512_loadu_ps(base + d), even);
    odd = _mm512_fmadd_ps(_mm512_loadu_ps(query + d + kLanes), _mm512_loadu_ps(base + d + kLanes), odd);
  }
  for (; d < dims; d += kLanes) {
    const auto lanes = static_cast<__mmask16>(dims - d >= kLanes ? 0xffffu : (1u << (dims - d)) - 1u);
    even = _mm512_fmadd_ps(_mm512_maskz_loadu_ps(lanes, query + d), _mm512_maskz_loadu_ps(lanes, base + d), even);
  }
  return _mm512_reduce_add_ps(_mm512_add_ps(even, odd));
}

// Transposes 16 rows x 16 dimensions in registers: out[d] holds dimension d of every row.
inline __attribute__((always_inline)) void transpose16(const __m512 (&rows)[16], __m512 (&out)[16]) {
  __m512 t[16];
  __m512 r[16];
#pragma GCC unroll 8
  for (int i = 0; i < 16; i += 2) {
    t[i] = _mm512_unpacklo_ps(rows[i], rows[i + 1]);
    t[i + 1] = _mm512_unpackhi_ps(rows[i], rows[i + 1]);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 16; i += 4) {
    r[i] = _mm512_shuffle_ps(t[i], t[i + 2], 0x44);
    r[i + 1] = _mm512_shuffle_ps(t[i], t[i + 2], 0xee);
    r[i + 2] = _mm512_shuffle_ps(t[i + 1], t[i + 3], 0x44);
    r[i + 3] = _mm512_shuffle_ps(t[i + 1], t[i + 3], 0xee);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    t[i] = _mm512_shuffle_f32x4(r[i], r[i + 4], 0x88);
    t[i + 4] = _mm512_shuffle_f32x4(r[i], r[i + 4], 0xdd);
    t[i + 8] = _mm512_shuffle_f32x4(r[i + 8], r[i + 12], 0x88);
    t[i + 12] = _mm512_shuffle_f32x4(r[i + 8], r[i + 12], 0xdd);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    out[i] = _mm512_shuffle_f32x4(t[i], t[i + 8], 0x88);
    out[i + 8] = _mm512_shuffle_f32x4(t[i], t[i + 8], 0xdd);
    out[i + 4] = _mm512_shuffle_f32x4(t[i + 4], t[i + 12], 0x88);
    out[i + 12] = _mm512_shuffle_f32x4(t[i + 4], t[i + 12], 0xdd);
  }
}

inline void transpose_into_panel(const float* values, std::size_t row_stride, float* panel) {
  __m512 rows[16];
  __m512 dims[16];
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i) rows[i] = _mm512_loadu_ps(values + static_cast<std::size_t>(i) * row_stride);
  transpose16(rows, dims);
#pragma GCC unroll 16
  for (std::size_t i = 0; i < 16; ++i) _mm512_storeu_ps(panel + i * kBaseWidth, dims[i]);
}

// Dimensions [first_dim, first_dim + 16) of 16 rows, as many as `lanes` tells, one vector for each dimension.
inline __attribute__((always_inline)) void gather_dims(const float* const (&rows)[kLanes], std::uint32_t first_dim,
                                                       __mmask16 lanes, __m512 (&dims)[16]) {
  __m512 values[16];
#pragma GCC unroll 16
  for (std::uint32_t i = 0; i < kLanes; ++i) values[i] = _mm512_maskz_loadu_ps(lanes, rows[i] + first_dim);
  transpose16(values, dims);
}

// 16 pairs at a time, one in each lane. Rows are transposed as they are read: a chain takes one dimension after
// another.
template <typename Metric>
void score_row_pairs(const float* queries, const float* bases, std::uint32_t dims, const std::uint32_t* pairs,
                     std::uint32_t count, float* scores) {
  constexpr std::uint32_t kColumnMask = (1u << kQueryShift) - 1;
  for (std::uint32_t first = 0; first < count; first += kLanes) {
    const float* query[kLanes];
    const float* base[kLanes];
    for (std::uint32_t i = 0; i < kLanes; ++i) {
      // Beyond the last pair, the last one again.
      const std::uint32_t pair = pairs[first + i < count ? first + i : count - 1];
      query[i] = queries + std::size_t{pair >> kQueryShift} * dims;
      base[i] = bases + std::size_t{pair & kColumnMask} * dims;
    }
    __m512 score = _mm512_setzero_ps();
    for (std::uint32_t d = 0; d < dims; d += kLanes) {
      const std::uint32_t left = dims - d;
      const auto lanes = static_cast<__mmask16>(left >= kLanes ? 0xffffu : (1u << left) - 1u);
      __m512 of_query[16];
      __m512 of_base[16];
      gather_dims(query, d, lanes, of_query);
      gather_dims(base, d, lanes, of_base);
      if (left >= kLanes) {
#pragma GCC unroll 16
        for (std::uint32_t i = 0; i < kLanes; ++i) score = Metric::step(of_query[i], of_base[i], score);
      } else {
        for (std::uint32_t i = 0; i < left; ++i) score = Metric::step(of_query[i], of_base[i], score);
      }
    }
    const std::uint32_t here = count - first;
    _mm512_mask_storeu_ps(scores + first, static_cast<__mmask16>(here >= kLanes ? 0xffffu : (1u << here) - 1u), score);
  }
}

// The base rows of the pairs to come lie anywhere in the tile: they are asked for ahead.
void add_pair_products(const PairProducts& rows, const std::uint32_t* pairs, std::uint32_t count, float* scores) {
  constexpr std::uint32_t kAhead = 8;
  constexpr std::uint32_t kColumnMask = (1u << kQueryShift) - 1;
  for (std::uint32_t i = 0; i < count; ++i) {
    if (i + kAhead < count) {
      const float* next = rows.bases + (pairs[i + kAhead] & kColumnMask) * rows.base_stride;
      for (std::uint32_t d = 0; d < rows.dims && d < 8 * kLanes; d += kLanes) _mm_prefetch(next + d, _MM_HINT_T0);
    }
    const std::uint32_t b = pairs[i] & kColumnMask;
    scores[i] += rows.factors[b] * product_of_rows(rows.queries + (pairs[i] >> kQueryShift) * rows.query_stride,
                                                   rows.bases + b * rows.base_stride, rows.dims);
  }
}

// Few queries: eight base rows against one or two panels of 16 queries, a base value broadcast to all of them. Eight
// chains of two vectors, or of one, cover the latency of the multiply-add.
template <typename Metric, std::uint32_t kPanels>
inline __attribute__((always_inline)) void score_row_block(const RowStrip& strip, std::uint32_t first_row,
                                                           std::uint32_t first_panel, Survivors& for_queries) {
  const std::uint32_t rows =
      strip.base_row_count - first_row < kRowsAtOnce ? strip.base_row_count - first_row : kRowsAtOnce;
  // Rows beyond the last are the last one again; their scores are left out below.
  const float* base[kRowsAtOnce];
  for (std::uint32_t r = 0; r < kRowsAtOnce; ++r)
    base[r] = strip.base_rows + (first_row + (r < rows ? r : rows - 1)) * strip.base_stride;
  const std::size_t panel_floats = std::size_t{strip.dims} * kLanes;
  const float* queries = strip.query_panels + first_panel * panel_floats;
  __m512 score[kRowsAtOnce][kPanels];
#pragma GCC unroll 8
  for (std::uint32_t r = 0; r < kRowsAtOnce; ++r)
#pragma GCC unroll 2
    for (std::uint32_t p = 0; p < kPanels; ++p) score[r][p] = _mm512_setzero_ps();
  for (std::uint32_t d = 0; d < strip.dims; ++d) {
    __m512 query[kPanels];
#pragma GCC unroll 2
    for (std::uint32_t p = 0; p < kPanels; ++p)
      query[p] = _mm512_loadu_ps(queries + p * panel_floats + std::size_t{d} * kLanes);
#pragma GCC unroll 8
    for (std::uint32_t r = 0; r < kRowsAtOnce; ++r) {
      const __m512 broadcast = _mm512_set1_ps(base[r][d]);
#pragma GCC unroll 2
      for (std::uint32_t p = 0; p < kPanels; ++p) score[r][p] = Metric::step(query[p], broadcast, score[r][p]);
    }
  }
  const __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  for (std::uint32_t r = 0; r < rows; ++r)
#pragma GCC unroll 2
    for (std::uint32_t p = 0; p < kPanels; ++p) {
      const std::uint32_t first_query = (first_panel + p) * kLanes;
      const __m512 thresholds = _mm512_loadu_ps(strip.query_thresholds + first_query);
      const __mmask16 mask = Metric::passes(0xffff, score[r][p], thresholds);
      if (__builtin_expect(mask == 0, 1)) continue;
      const std::uint32_t first_pair = strip.first_pair + (first_query << kQueryShift) + first_row + r;
      const __m512i pairs =
          _mm512_add_epi32(_mm512_set1_epi32(static_cast<int>(first_pair)), _mm512_slli_epi32(lane, kQueryShift));
      append(mask, score[r][p], pairs, for_queries);
    }
}

template <typename Metric>
void score_rows(const RowStrip& strip, Survivors& for_queries) {
  for (std::uint32_t row = 0; row < strip.base_row_count; row += kRowsAtOnce) {
    std::uint32_t panel = 0;
    for (; panel + 2 <= strip.query_panel_count; panel += 2) score_row_block<Metric, 2>(strip, row, panel, for_queries);
    if (panel < strip.query_panel_count) score_row_block<Metric, 1>(strip, row, panel, for_queries);
  }
}

template <std::uint32_t kWidth>
void pack_edge(const float* values, std::size_t row_stride, std::uint32_t rows, std::uint32_t first_dim,
               std::uint32_t dims, float* panel) {
  for (std::uint32_t d = first_dim; d < dims; ++d)
    for (std::uint32_t r = 0; r < kWidth; ++r) panel[d * kWidth + r] = r < rows ? values[r * row_stride + d] : 0.0f;
}

void pack_query_panel(const float* values, std::size_t row_stride, std::uint32_t rows, std::uint32_t dims,
                      float* panel) {
  pack_edge<kQueryWidth>(values, row_stride, rows, 0, dims, panel);
}

void pack_row_query_panel(const float* values, std::size_t row_stride, std::uint32_t rows, std::uint32_t dims,
                          float* panel) {
  pack_edge<kLanes>(values, row_stride, rows, 0, dims, panel);
}

void pack_base_panel(const float* values, std::size_t row_stride, std::uint32_t rows, std::uint32_t dims,
                     float* panel) {
  std::uint32_t d = 0;
  if (rows == kBaseWidth)
    for (; d + kLanes <= dims; d += kLanes) {
      transpose_into_panel(values + d, row_stride, panel + std::size_t{d} * kBaseWidth);
      transpose_into_panel(values + kLanes * row_stride + d, row_stride, panel + std::size_t{d} * kBaseWidth + kLanes);
    }
  pack_edge<kBaseWidth>(values, row_stride, rows, d, dims, panel);
}

float sparse_squared_l2(const std::uint32_t* a_columns, const float* a_values, std::size_t a_count,
                        const std::uint32_t* b_columns, const float* b_values, std::size_t b_count) {
  float score = 0.0f;
  std::size_t a = 0;
  std::size_t b = 0;
  while (a < a_count || b < b_count) {
    const bool take_a = b == b_count || (a < a_count && a_columns[a] <= b_columns[b]);
    const bool take_b = a == a_count || (b < b_count && b_columns[b] <= a_columns[a]);
    const float difference = (take_a ? a_values[a] : 0.0f) - (take_b ? b_values[b] : 0.0f);
    score = __builtin_fmaf(difference, difference, score);
    a += take_a;
    b += take_b;
  }
  return score;
}

// Keys eight at a time, for prune_by_counting.
struct KeyLanes {
  static inline __mmask8 valid(std::size_t left) {
    return static_cast<__mmask8>(left >= 8 ? 0xffu : (1u << left) - 1u);
  }

  static inline void range(const std::uint64_t* keys, std::size_t count, std::uint64_t* smallest,
                           std::uint64_t* largest) {
    __m512i low = _mm512_set1_epi64(-1);
    __m512i high = _mm512_setzero_si512();
    for (std::size_t i = 0; i < count; i += 8) {
      const __mmask8 lanes = valid(count - i);
      const __m512i batch = _mm512_maskz_loadu_epi64(lanes, keys + i);
      low = _mm512_mask_min_epu64(low, lanes, low, batch);
      high = _mm512_max_epu64(high, batch);
    }
    *smallest = _mm512_reduce_min_epu64(low);
    *largest = _mm512_reduce_max_epu64(high);
  }

  static inline std::size_t count_below(const std::uint64_t* keys, std::size_t count, std::uint64_t pivot) {
    const __m512i pivots = _mm512_set1_epi64(static_cast<long long>(pivot));
    const __m512i one = _mm512_set1_epi64(1);
    __m512i below = _mm512_setzero_si512();
    std::size_t i = 0;
    for (; i + 8 <= count; i += 8) {
      const __mmask8 smaller = _mm512_cmplt_epu64_mask(_mm512_loadu_si512(keys + i), pivots);
      below = _mm512_mask_add_epi64(below, smaller, below, one);
    }
    const __mmask8 lanes = valid(count - i);
    const __mmask8 smaller = _mm512_mask_cmplt_epu64_mask(lanes, _mm512_maskz_loadu_epi64(lanes, keys + i), pivots);
    below = _mm512_mask_add_epi64(below, smaller, below, one);
    return static_cast<std::size_t>(_mm512_reduce_add_epi64(below));
  }

  // Whole-register stores at the front never reach the keys that are still to be read, but for the last batch.
  static inline void keep_below(std::uint64_t* keys, std::size_t count, std::uint64_t pivot) {
    const __m512i pivots = _mm512_set1_epi64(static_cast<long long>(pivot));
    std::size_t front = 0;
    std::size_t i = 0;
    for (; i + 8 <= count; i += 8) {
      const __m512i batch = _mm512_loadu_si512(keys + i);
      const __mmask8 smaller = _mm512_cmplt_epu64_mask(batch, pivots);
      _mm512_storeu_si512(keys + front, _mm512_maskz_compress_epi64(smaller, batch));
      front += static_cast<std::size_t>(__builtin_popcount(smaller));
    }
    const __mmask8 lanes = valid(count - i);
    const __m512i batch = _mm512_maskz_loadu_epi64(lanes, keys + i);
    _mm512_mask_compressstoreu_epi64(keys + front, _mm512_mask_cmplt_epu64_mask(lanes, batch, pivots), batch);
  }
};

std::size_t one_float_for_each(std::uint32_t dims) { return dims; }

}  // namespace

const TileKernel kAvx512Kernel{
    .isa = Isa::kAvx512,
    .query_width = kQueryWidth,
    .base_width = kBaseWidth,
    .inner_product = score_strip<InnerProduct>,
    .squared_l2 = score_strip<SquaredL2>,
    .squared_l2_by_product = score_strip<SquaredL2ByProduct>,
    .screen = {.name = "avx512",
               .query_width = kQueryWidth,
               .base_width = kBaseWidth,
               .looseness = 0.0,
               .ns_per_dim = 0.015,
               .ns_per_pair = 0.05,
               .floats_of_row = one_float_for_each,
               .pack_query_panel = pack_query_panel,
               .pack_base_panel = pack_base_panel,
               .inner_product = screen_strip<InnerProduct>,
               .squared_l2 = screen_strip<SquaredL2ByProduct>},
    .store_inner_products = store_inner_products,
    .squared_l2_of_panel_pairs = rescore_pairs<PanelWidths, DifferenceStep>,
    .inner_product_of_row_pairs = score_row_pairs<InnerProduct>,
    .squared_l2_of_row_pairs = score_row_pairs<SquaredL2>,
    .add_pair_products = add_pair_products,
    .pack_query_panel = pack_query_panel,
    .pack_base_panel = pack_base_panel,
    .row_query_width = kLanes,
    .inner_product_rows = score_rows<InnerProduct>,
    .squared_l2_rows = score_rows<SquaredL2>,
    .pack_row_query_panel = pack_row_query_panel,
    .sparse_squared_l2 = sparse_squared_l2,
    .prune_keys = prune_by_counting<KeyLanes>,
};

}  // namespace simtile::kernels
