// Arithmetic on sizes that come from files and users: a wrapped product must never become an allocation or an offset.
#pragma once

#include <cstdint>
#include <string>

#include "simtile/error.h"

namespace simtile {

inline bool multiply_overflows(std::uint64_t a, std::uint64_t b, std::uint64_t* product) noexcept {
  return __builtin_mul_overflow(a, b, product);
}

inline bool add_overflows(std::uint64_t a, std::uint64_t b, std::uint64_t* sum) noexcept {
  return __builtin_add_overflow(a, b, sum);
}

// The checked forms throw Error(code) with a message that names `what`.
inline std::uint64_t checked_multiply(std::uint64_t a, std::uint64_t b, ErrorCode code, const std::string& what) {
  std::uint64_t product = 0;
  if (multiply_overflows(a, b, &product))
    throw Error(code, what + ": " + std::to_string(a) + " x " + std::to_string(b) + " overflows 64 bits");
  return product;
}

inline std::uint64_t checked_add(std::uint64_t a, std::uint64_t b, ErrorCode code, const std::string& what) {
  std::uint64_t sum = 0;
  if (add_overflows(a, b, &sum))
    throw Error(code, what + ": " + std::to_string(a) + " + " + std::to_string(b) + " overflows 64 bits");
  return sum;
}

// [offset, offset + length) lies within [0, size), without computing the sum.
inline constexpr bool fits_within(std::uint64_t offset, std::uint64_t length, std::uint64_t size) noexcept {
  return offset <= size && length <= size - offset;
}

inline constexpr std::uint64_t divide_up(std::uint64_t value, std::uint64_t unit) noexcept {
  return value / unit + (value % unit != 0);
}

inline constexpr std::uint64_t round_down(std::uint64_t value, std::uint64_t unit) noexcept {
  return value / unit * unit;
}

// The caller guarantees that the rounded value fits: use it on values already bounded by a file or a plan.
inline constexpr std::uint64_t round_up(std::uint64_t value, std::uint64_t unit) noexcept {
  return divide_up(value, unit) * unit;
}

}  // namespace simtile
