// Hashed TF-IDF: how a document becomes numbers. docs/text.md tells the same in prose: change both together.
//
//   features(document) -> hash -> buckets with counts -> (1 + ln count) * idf(bucket) -> unit row
//
// A feature is a word, or three characters in a row of a word with a space before and behind it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace simtile::formats {

// One bucket of a document. The sign belongs to the bucket, for signed hashing into fewer columns.
struct TermCount {
  std::uint32_t bucket;
  std::uint32_t count;
};

// Cuts documents into features and counts them by bucket.
// Threads: one at a time: the buffers are reused.
class TermCounter {
 public:
  explicit TermCounter(std::uint64_t buckets) : buckets_(buckets) {}
  // The document's buckets, ascending; valid until the next call.
  const std::vector<TermCount>& count(std::string_view document);

 private:
  void add_word(std::string_view word);
  void add_feature(std::string_view bytes, std::uint64_t seed);

  std::uint64_t buckets_;
  std::string lower_;
  std::string padded_;
  std::vector<std::uint32_t> hashed_;
  std::vector<TermCount> counts_;
};

// How many documents have each bucket, and what follows from it.
class DocumentFrequencies {
 public:
  explicit DocumentFrequencies(std::uint64_t buckets) : counts_(buckets) {}
  void add_document(const std::vector<TermCount>& terms);
  std::uint64_t documents() const noexcept { return documents_; }
  // ln((1 + documents) / (1 + documents with the bucket)) + 1
  double inverse(std::uint32_t bucket) const noexcept;

 private:
  std::uint64_t documents_ = 0;
  std::vector<std::uint32_t> counts_;
};

// The weights of a document's terms, at Euclidean norm one (none at all for a document without terms).
void weigh_terms(const std::vector<TermCount>& terms, const DocumentFrequencies& frequencies,
                 std::vector<double>* weights);

// Where signed hashing puts a bucket: a column of `dims`, and +1 or -1.
struct SignedColumn {
  std::uint64_t column;
  double sign;
};
SignedColumn signed_column(std::uint32_t bucket, std::uint64_t dims) noexcept;

}  // namespace simtile::formats
