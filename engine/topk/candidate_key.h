// The total order of candidates, as one integer.
//
// A candidate is (score, row). Its key is 64 bits: the score's bits in the upper half, made so that better scores are
// smaller integers, and the row in the lower half. One integer comparison is then the whole order: better score first,
// equal scores to the smaller row. -0 counts as +0.
//
// A *bound* is the key that a candidate must stay below to enter a row's top K. Kernels compare scores, not keys, so a
// bound becomes the weakest score that could still enter; threshold_score() below says when an equal score can.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>

#include "simtile/types.h"

namespace simtile::topk {

using Key = std::uint64_t;

// No bound yet: every candidate enters.
inline constexpr Key kNoBound = std::numeric_limits<Key>::max();

// Rows are held in 32 bits within a job.
inline constexpr std::uint64_t kMaxRows = std::numeric_limits<std::uint32_t>::max();

// Whether larger scores are better.
constexpr bool larger_is_better(Metric metric) noexcept { return metric != Metric::kL2; }

// Ascends with the score, over all of the floats but NaN.
inline std::uint32_t ascending_bits(float score) noexcept {
  const auto bits = std::bit_cast<std::uint32_t>(score + 0.0f);
  return (bits & 0x80000000u) != 0 ? ~bits : bits | 0x80000000u;
}

inline float score_of_ascending_bits(std::uint32_t bits) noexcept {
  return std::bit_cast<float>((bits & 0x80000000u) != 0 ? bits & 0x7fffffffu : ~bits);
}

inline Key make_key(bool larger_better, float score, std::uint32_t row) noexcept {
  const std::uint32_t bits = ascending_bits(score);
  return (static_cast<Key>(larger_better ? ~bits : bits) << 32) | row;
}

inline std::uint32_t key_row(Key key) noexcept { return static_cast<std::uint32_t>(key); }

inline float key_score(bool larger_better, Key key) noexcept {
  const auto bits = static_cast<std::uint32_t>(key >> 32);
  return score_of_ascending_bits(larger_better ? ~bits : bits);
}

// The bound that lets in scores at least as good as min_score, whatever the row (rows are below kMaxRows).
inline Key bound_of_min_score(bool larger_better, std::optional<float> min_score) noexcept {
  return min_score ? make_key(larger_better, *min_score, static_cast<std::uint32_t>(kMaxRows)) : kNoBound;
}

// The bound that lets in `key` itself and all that is better: for a K-th best that is not in a reservoir but on disk,
// and must be let in when it is read back.
inline Key bound_that_admits(Key key) noexcept { return key + 1; }

// A threshold that lets in nothing but infinities, which their keys then keep out.
inline float closed_threshold(bool larger_better) noexcept {
  return larger_better ? std::numeric_limits<float>::infinity() : -std::numeric_limits<float>::infinity();
}

// The weakest score with which a row numbered first_row or more can have a key below `bound`. An equal score enters
// only if the row can be smaller than the bound's own: that spares all the ties of duplicate rows. Otherwise it must be
// the next better score: the neighbouring integer, but not the -0 beside +0, and not beyond an infinity.
inline float threshold_score(bool larger_better, Key bound, std::uint64_t first_row) noexcept {
  constexpr std::uint32_t kPlusInfinity = 0xff800000u;  // as ascending bits
  constexpr std::uint32_t kMinusInfinity = 0x007fffffu;
  constexpr std::uint32_t kMinusZero = 0x7fffffffu;
  const auto upper = static_cast<std::uint32_t>(bound >> 32);
  std::uint32_t bits = larger_better ? ~upper : upper;
  const std::uint32_t strict = first_row < key_row(bound) ? 0u : 1u;
  if (larger_better) {
    bits = std::min(bits + strict, kPlusInfinity);
    bits = std::max(bits, kMinusInfinity);
  } else {
    bits = std::max(bits - strict, kMinusInfinity);
    bits = std::min(bits - (bits == kMinusZero ? 1u : 0u), kPlusInfinity);
  }
  return score_of_ascending_bits(bits);
}

}  // namespace simtile::topk
