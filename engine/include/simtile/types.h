// The words that files, options and reports share: element types, metrics, instruction sets.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <string_view>

namespace simtile {

// How one element of a matrix is stored. The values are written in files: never renumber them.
enum class ElementType : std::uint32_t {
  kF32 = 1,   // IEEE binary32
  kF16 = 2,   // IEEE binary16
  kBF16 = 3,  // the upper half of a binary32
  kI8 = 4,    // signed 8-bit integer times a binary32 scale for each row
  kU8 = 5,    // unsigned 8-bit integer
};

// Bytes of one element: 4, 2 or 1.
std::size_t element_bytes(ElementType type) noexcept;

// "f32", "f16", "bf16", "i8", "u8". `parse_element_type` throws Error(kInvalidArgument) on any other word.
std::string_view to_string(ElementType type) noexcept;
ElementType parse_element_type(std::string_view word);

// How two rows are compared. Cosine and inner product are better when larger; l2 is the squared Euclidean
// distance, better when smaller. The values are written in files: never renumber them.
enum class Metric : std::uint32_t { kCosine = 1, kInnerProduct = 2, kL2 = 3 };

// "cosine", "ip", "l2". `parse_metric` throws Error(kInvalidArgument) on any other word.
std::string_view to_string(Metric metric) noexcept;
Metric parse_metric(std::string_view word);

// Which kernels to run. kAuto takes the widest set that this processor has.
enum class Isa : std::uint32_t { kAuto = 0, kScalar = 1, kAvx2 = 2, kAvx512 = 3 };

// "auto", "scalar", "avx2", "avx512". `parse_isa` throws Error(kInvalidArgument) on any other word.
std::string_view to_string(Isa isa) noexcept;
Isa parse_isa(std::string_view word);

// Whether a job looks at cheap upper bounds first and scores only the pairs that they leave (exact pruning: the answer
// is the same to the bit). kAuto does where a sample says that it pays.
enum class ScreenUse : std::uint32_t { kAuto = 0, kOn = 1, kOff = 2 };

// "auto", "on", "off". `parse_screen_use` throws Error(kInvalidArgument) on any other word.
std::string_view to_string(ScreenUse use) noexcept;
ScreenUse parse_screen_use(std::string_view word);

// How often a self-join scores a pair of rows: once, for both of them, where what is found for rows whose turn has not
// come is kept in memory or spilled; or twice, for one of them at a time, where nothing is. kAuto: once where the
// budget holds the state of all rows, and otherwise whichever is expected to take less time.
enum class PairScoring : std::uint32_t { kAuto = 0, kOnce = 1, kTwice = 2 };

// "auto", "once", "twice". `parse_pair_scoring` throws Error(kInvalidArgument) on any other word.
std::string_view to_string(PairScoring pairs) noexcept;
PairScoring parse_pair_scoring(std::string_view word);

// Stands where a row has fewer than K neighbours; -1 when read as a signed integer.
inline constexpr std::uint64_t kNoRow = std::numeric_limits<std::uint64_t>::max();

// One neighbour of a row.
struct Neighbour {
  std::uint64_t row;
  float score;
};

}  // namespace simtile
