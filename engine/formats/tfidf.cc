#include "engine/formats/tfidf.h"

#include <xxhash.h>

#include <algorithm>
#include <cmath>

namespace simtile::formats {
namespace {

// Seeds keep a word and the same three characters apart.
constexpr std::uint64_t kWordSeed = 1;
constexpr std::uint64_t kGramSeed = 2;
constexpr std::uint64_t kColumnSeed = 3;
constexpr std::size_t kGramCharacters = 3;
constexpr std::size_t kMinWordCharacters = 2;

char lower_ascii(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

// Letters, digits and the underscore, and every byte of a character beyond ASCII.
bool is_word_byte(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || (static_cast<unsigned char>(c) & 0x80u) != 0;
}

bool starts_character(char c) noexcept { return (static_cast<unsigned char>(c) & 0xc0u) != 0x80u; }

// The byte after the character at `at`.
std::size_t next_character(std::string_view text, std::size_t at) noexcept {
  do ++at;
  while (at < text.size() && !starts_character(text[at]));
  return at;
}

std::size_t count_characters(std::string_view text) noexcept {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), starts_character));
}

}  // namespace

void TermCounter::add_feature(std::string_view bytes, std::uint64_t seed) {
  hashed_.push_back(static_cast<std::uint32_t>(XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed) % buckets_));
}

void TermCounter::add_word(std::string_view word) {
  if (count_characters(word) >= kMinWordCharacters) add_feature(word, kWordSeed);
  padded_.assign(1, ' ').append(word).push_back(' ');
  std::size_t begin = 0;
  std::size_t end = 0;
  for (std::size_t i = 0; i < kGramCharacters; ++i) end = next_character(padded_, end);
  for (;; begin = next_character(padded_, begin), end = next_character(padded_, end)) {
    add_feature(std::string_view(padded_).substr(begin, end - begin), kGramSeed);
    if (end >= padded_.size()) return;
  }
}

const std::vector<TermCount>& TermCounter::count(std::string_view document) {
  lower_.resize(document.size());
  std::transform(document.begin(), document.end(), lower_.begin(), lower_ascii);
  hashed_.clear();
  for (std::size_t at = 0; at < lower_.size();) {
    std::size_t end = at;
    while (end < lower_.size() && is_word_byte(lower_[end])) ++end;
    if (end > at) add_word(std::string_view(lower_).substr(at, end - at));
    at = end + 1;
  }
  std::sort(hashed_.begin(), hashed_.end());
  counts_.clear();
  for (const std::uint32_t bucket : hashed_) {
    if (counts_.empty() || counts_.back().bucket != bucket) counts_.push_back({bucket, 0});
    ++counts_.back().count;
  }
  return counts_;
}

void DocumentFrequencies::add_document(const std::vector<TermCount>& terms) {
  for (const TermCount& term : terms) ++counts_[term.bucket];
  ++documents_;
}

double DocumentFrequencies::inverse(std::uint32_t bucket) const noexcept {
  return std::log((1.0 + static_cast<double>(documents_)) / (1.0 + static_cast<double>(counts_[bucket]))) + 1.0;
}

void weigh_terms(const std::vector<TermCount>& terms, const DocumentFrequencies& frequencies,
                 std::vector<double>* weights) {
  weights->clear();
  double squares = 0.0;
  for (const TermCount& term : terms) {
    const double weight = (1.0 + std::log(static_cast<double>(term.count))) * frequencies.inverse(term.bucket);
    weights->push_back(weight);
    squares += weight * weight;
  }
  for (double& weight : *weights) weight /= std::sqrt(squares);
}

SignedColumn signed_column(std::uint32_t bucket, std::uint64_t dims) noexcept {
  const std::uint64_t hash = XXH3_64bits_withSeed(&bucket, sizeof bucket, kColumnSeed);
  return {(hash >> 1) % dims, (hash & 1) != 0 ? 1.0 : -1.0};
}

}  // namespace simtile::formats
