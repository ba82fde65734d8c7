#include "simtile/types.h"

#include <array>
#include <string>
#include <utility>

#include "simtile/error.h"

namespace simtile {
namespace {

template <typename Enum, std::size_t N>
using Words = std::array<std::pair<Enum, std::string_view>, N>;

constexpr Words<ElementType, 5> kElementTypes{{{ElementType::kF32, "f32"},
                                               {ElementType::kF16, "f16"},
                                               {ElementType::kBF16, "bf16"},
                                               {ElementType::kI8, "i8"},
                                               {ElementType::kU8, "u8"}}};
constexpr Words<Metric, 3> kMetrics{{{Metric::kCosine, "cosine"}, {Metric::kInnerProduct, "ip"}, {Metric::kL2, "l2"}}};
constexpr Words<Isa, 4> kIsas{
    {{Isa::kAuto, "auto"}, {Isa::kScalar, "scalar"}, {Isa::kAvx2, "avx2"}, {Isa::kAvx512, "avx512"}}};
constexpr Words<ScreenUse, 3> kScreenUses{
    {{ScreenUse::kAuto, "auto"}, {ScreenUse::kOn, "on"}, {ScreenUse::kOff, "off"}}};
constexpr Words<PairScoring, 3> kPairScorings{
    {{PairScoring::kAuto, "auto"}, {PairScoring::kOnce, "once"}, {PairScoring::kTwice, "twice"}}};

template <typename Enum, std::size_t N>
std::string_view word_of(const Words<Enum, N>& words, Enum value) noexcept {
  for (const auto& [candidate, word] : words)
    if (candidate == value) return word;
  return "unknown";
}

template <typename Enum, std::size_t N>
Enum parse(const Words<Enum, N>& words, std::string_view text, const char* what) {
  std::string choices;
  for (const auto& [candidate, word] : words) {
    if (word == text) return candidate;
    choices += (choices.empty() ? "" : ", ") + std::string(word);
  }
  throw Error(ErrorCode::kInvalidArgument, "'" + std::string(text) + "' is not " + what + "; choose from " + choices);
}

}  // namespace

std::size_t element_bytes(ElementType type) noexcept {
  switch (type) {
    case ElementType::kF32: return 4;
    case ElementType::kF16:
    case ElementType::kBF16: return 2;
    case ElementType::kI8:
    case ElementType::kU8: return 1;
  }
  return 0;
}

std::string_view to_string(ElementType type) noexcept { return word_of(kElementTypes, type); }
std::string_view to_string(Metric metric) noexcept { return word_of(kMetrics, metric); }
std::string_view to_string(Isa isa) noexcept { return word_of(kIsas, isa); }
std::string_view to_string(ScreenUse use) noexcept { return word_of(kScreenUses, use); }
std::string_view to_string(PairScoring pairs) noexcept { return word_of(kPairScorings, pairs); }

ElementType parse_element_type(std::string_view word) { return parse(kElementTypes, word, "an element type"); }
Metric parse_metric(std::string_view word) { return parse(kMetrics, word, "a metric"); }
Isa parse_isa(std::string_view word) { return parse(kIsas, word, "an instruction set"); }

PairScoring parse_pair_scoring(std::string_view word) { return parse(kPairScorings, word, "a way to score pairs"); }
ScreenUse parse_screen_use(std::string_view word) { return parse(kScreenUses, word, "a use of the screen"); }

}  // namespace simtile
