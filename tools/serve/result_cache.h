// Answers to searches that were asked before: a ring of a fixed number of bytes, in which the oldest make room for the
// newest.
//
// A key is made of what the answer depends on alone: the version of the index and the request. An index that was
// replaced has other keys, and its old answers leave with time.
//
// Threads: one at a time.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "tools/serve/search_request.h"
#include "tools/serve/served_index.h"

namespace simtile::tools::serve {

struct CacheKey {
  std::uint64_t high, low;  // XXH3-128
  bool operator==(const CacheKey&) const = default;
};

CacheKey cache_key(const std::string& index, const IndexVersion& version, const SearchRequest& request);

class ResultCache {
 public:
  // 0 bytes: holds nothing.
  explicit ResultCache(std::uint64_t bytes);

  std::optional<std::string> find(const CacheKey& key) const;
  // Answers larger than an eighth of the cache are not kept.
  void keep(const CacheKey& key, const std::string& answer);
  std::uint64_t used_bytes() const noexcept { return used_bytes_; }
  bool is_on() const noexcept { return !ring_.empty(); }

 private:
  struct Place {
    std::size_t begin, bytes;
  };
  struct Hash {
    std::size_t operator()(const CacheKey& key) const noexcept { return static_cast<std::size_t>(key.low); }
  };
  void drop_oldest();

  std::vector<char> ring_;
  std::size_t next_ = 0;
  std::uint64_t used_bytes_ = 0;
  std::size_t most_answers_ = 0;
  std::deque<CacheKey> oldest_first_;
  std::unordered_map<CacheKey, Place, Hash> places_;
};

}  // namespace simtile::tools::serve
