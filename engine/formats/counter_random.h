// Random numbers without a state: each is a function of a key and a counter, so any row of a matrix can be made alone
// and comes out the same on every machine. Nothing but integer arithmetic and the IEEE operations + - * / is used: a
// libm function may differ in its last bit from one system to the next.
#pragma once

#include <cstdint>

namespace simtile::formats {

// The finaliser of SplitMix64 (Steele, Lea, Flood 2014): every bit of the input moves every bit of the output.
inline std::uint64_t mix_bits(std::uint64_t x) noexcept {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

class CounterRandom {
 public:
  // A stream of its own for each (seed, purpose, index).
  CounterRandom(std::uint64_t seed, std::uint64_t purpose, std::uint64_t index) noexcept
      : key_(mix_bits(mix_bits(mix_bits(seed) + purpose) + index)) {}

  std::uint64_t bits(std::uint64_t counter) const noexcept {
    constexpr std::uint64_t kGolden = 0x9e3779b97f4a7c15u;
    return mix_bits(key_ + (counter + 1) * kGolden);
  }
  // 0 <= x < 1, a multiple of 2^-53.
  double uniform(std::uint64_t counter) const noexcept { return static_cast<double>(bits(counter) >> 11) * 0x1p-53; }
  // Mean 0, variance 1: the sum of twelve uniforms (Irwin-Hall), here sixteen bits each. Its tails end at 6.
  double gaussian(std::uint64_t counter) const noexcept {
    constexpr std::uint64_t kEvenLanes = 0x0000ffff0000ffffu;
    std::uint64_t lanes = 0;  // two sums of six
    for (std::uint64_t i = 0; i < 3; ++i) {
      const std::uint64_t b = bits(3 * counter + i);
      lanes += (b & kEvenLanes) + ((b >> 16) & kEvenLanes);
    }
    const auto sum = static_cast<std::int64_t>((lanes & 0xffffffffu) + (lanes >> 32));
    return static_cast<double>(2 * sum - std::int64_t{12} * 0xffff) * 0x1p-17;
  }

 private:
  std::uint64_t key_;
};

}  // namespace simtile::formats
