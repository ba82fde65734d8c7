#include "tools/serve/result_cache.h"

#include <xxhash.h>

#include <cstring>

namespace simtile::tools::serve {
namespace {

// What it costs to remember where an answer lies, about.
constexpr std::uint64_t kPlaceBytes = 128;

template <typename T>
void append(std::string& bytes, const T* values, std::size_t count) {
  bytes.append(reinterpret_cast<const char*>(values), count * sizeof(T));
}

template <typename T>
void append(std::string& bytes, T value) {
  append(bytes, &value, 1);
}

// Lengths go before what they are the lengths of, so that no two requests make the same bytes.
void append(std::string& bytes, const std::vector<std::string>& words) {
  append<std::uint64_t>(bytes, words.size());
  for (const std::string& word : words) {
    append<std::uint64_t>(bytes, word.size());
    bytes += word;
  }
}

}  // namespace

CacheKey cache_key(const std::string& index, const IndexVersion& version, const SearchRequest& request) {
  std::string bytes;
  append(bytes, std::vector{index});
  append(bytes, version.info.identity);
  append(bytes, version.generation);
  append(bytes, request.top_k);
  append(bytes, request.metric);
  append(bytes, static_cast<std::uint64_t>(request.min_score.has_value()));
  append(bytes, request.min_score.value_or(0.0f));
  append(bytes,
         static_cast<std::uint64_t>(request.exclude_self) * 2 + static_cast<std::uint64_t>(request.include_vectors));
  append(bytes, request.ids);
  append(bytes, request.exclude_ids);
  append(bytes, request.vectors.data(), request.vectors.size());
  const XXH128_hash_t hash = XXH3_128bits(bytes.data(), bytes.size());
  return {hash.high64, hash.low64};
}

ResultCache::ResultCache(std::uint64_t bytes) {
  constexpr std::uint64_t kAnswerBytes = 512;  // of a small one
  most_answers_ = static_cast<std::size_t>(bytes / (kAnswerBytes + kPlaceBytes));
  if (most_answers_ == 0) return;
  ring_.resize(static_cast<std::size_t>(bytes - most_answers_ * kPlaceBytes));
  places_.reserve(most_answers_);
}

std::optional<std::string> ResultCache::find(const CacheKey& key) const {
  const auto place = places_.find(key);
  if (place == places_.end()) return std::nullopt;
  return std::string(ring_.data() + place->second.begin, place->second.bytes);
}

void ResultCache::keep(const CacheKey& key, const std::string& answer) {
  if (answer.size() > ring_.size() / 8 || places_.contains(key)) return;
  // An answer lies in one piece: what is left at the ring's end goes unused.
  if (ring_.size() - next_ < answer.size()) {
    while (!oldest_first_.empty() && places_.at(oldest_first_.front()).begin >= next_) drop_oldest();
    next_ = 0;
  }
  const auto is_in_the_way = [&](const Place& place) {
    return place.begin < next_ + answer.size() && next_ < place.begin + place.bytes;
  };
  while (!oldest_first_.empty() &&
         (places_.size() >= most_answers_ || is_in_the_way(places_.at(oldest_first_.front()))))
    drop_oldest();
  std::memcpy(ring_.data() + next_, answer.data(), answer.size());
  places_.emplace(key, Place{next_, answer.size()});
  oldest_first_.push_back(key);
  next_ += answer.size();
  used_bytes_ += answer.size();
}

void ResultCache::drop_oldest() {
  const auto place = places_.find(oldest_first_.front());
  used_bytes_ -= place->second.bytes;
  places_.erase(place);
  oldest_first_.pop_front();
}

}  // namespace simtile::tools::serve
