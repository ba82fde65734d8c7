// A sparse matrix in compressed rows, its three arrays read side by side.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "engine/formats/byte_stream.h"
#include "engine/formats/numeric.h"
#include "engine/formats/row_source.h"

namespace simtile::formats {

// Numbers of one type, front to back.
class NumberStream {
 public:
  // `count` numbers from where the stream stands to its end.
  NumberStream(std::unique_ptr<ByteStream> stream, NumericType type, std::uint64_t count)
      : stream_(std::move(stream)), type_(type), count_(count) {}

  std::uint64_t count() const noexcept { return count_; }
  std::uint64_t left() const noexcept { return count_ - read_; }
  const std::string& name() const noexcept { return stream_->name(); }
  // Both read as many as there is room for, which must be left; Error(kCorrupt) for what does not fit, naming its
  // index.
  void read_values(std::span<float> values);
  void read_counts(std::span<std::uint64_t> counts);

 private:
  void read_raw(std::size_t count);
  [[noreturn]] void refuse(std::size_t index, const std::string& why) const;

  std::unique_ptr<ByteStream> stream_;
  NumericType type_;
  std::uint64_t count_;
  std::uint64_t read_ = 0;
  std::vector<std::byte> raw_;
};

struct CsrStreams {
  NumberStream row_starts;  // rows + 1 ascending counts from 0 to the number of non-zeros
  NumberStream columns;
  NumberStream values;
};

// Columns within a row may come in any order, but only once. Error(kCorrupt) names what does not fit together.
std::unique_ptr<RowSource> make_csr_source(const std::string& path, std::uint64_t rows, std::uint64_t columns,
                                           CsrStreams streams);

}  // namespace simtile::formats
