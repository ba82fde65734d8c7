#include "engine/formats/csr_source.h"

#include <algorithm>
#include <numeric>

#include "engine/formats/dense_source.h"
#include "simtile/error.h"

namespace simtile::formats {
namespace {

constexpr std::uint64_t kRowsPerBatch = 4096;
// A row is held in memory whole.
constexpr std::uint64_t kMaxRowNonzeros = kMaxDenseColumns;

class CsrSource : public RowSource {
 public:
  CsrSource(const std::string& path, std::uint64_t rows, std::uint64_t columns, CsrStreams streams)
      : path_(path), rows_(rows), columns_(columns), streams_(std::move(streams)) {
    if (rows == 0 || columns == 0) refuse("has no rows or no columns: there is nothing to import");
    if (streams_.row_starts.count() - 1 != rows)
      refuse("has " + std::to_string(streams_.row_starts.count()) + " row starts, but " + std::to_string(rows) +
             " rows need one more than that; save it again");
    if (streams_.columns.count() != streams_.values.count())
      refuse("has " + std::to_string(streams_.columns.count()) + " column indices but " +
             std::to_string(streams_.values.count()) + " values; save it again");
    streams_.row_starts.read_counts({&row_begin_, 1});
    if (row_begin_ != 0) refuse("has row starts that begin with " + std::to_string(row_begin_) + ", not 0");
  }

  SourceShape shape() const override { return {.rows = rows_, .columns = columns_, .sparse = true}; }

  bool read(RowBatch& batch) override {
    batch.clear();
    while (batch.rows < kRowsPerBatch && batch.values.size() * sizeof(float) < kBatchBytes) {
      if (next_start_ == starts_.size() && !refill_starts()) break;
      append_row(batch, starts_[next_start_++]);
    }
    if (batch.rows == 0 && row_begin_ != streams_.values.count())
      refuse("has " + std::to_string(streams_.values.count()) + " values, but its rows end at " +
             std::to_string(row_begin_) + "; save it again");
    return batch.rows > 0;
  }

 private:
  [[noreturn]] void refuse(const std::string& why) const { throw Error(ErrorCode::kCorrupt, "'" + path_ + "' " + why); }
  [[noreturn]] void refuse_row(const std::string& why) const {
    refuse("has a row " + std::to_string(row_) + " " + why);
  }

  bool refill_starts() {
    next_start_ = 0;
    starts_.resize(static_cast<std::size_t>(std::min(kRowsPerBatch, streams_.row_starts.left())));
    streams_.row_starts.read_counts(starts_);
    return !starts_.empty();
  }

  void append_row(RowBatch& batch, std::uint64_t row_end) {
    if (row_end < row_begin_ || row_end > streams_.values.count())
      refuse_row("that goes from " + std::to_string(row_begin_) + " to " + std::to_string(row_end) + " of " +
                 std::to_string(streams_.values.count()) + " values; save it again");
    const std::uint64_t nonzeros = row_end - row_begin_;
    if (nonzeros > columns_ || nonzeros > kMaxRowNonzeros)
      refuse_row("with " + std::to_string(nonzeros) + " values, more than its columns or than " +
                 std::to_string(kMaxRowNonzeros));
    const std::size_t begin = batch.values.size();
    row_columns_.resize(static_cast<std::size_t>(nonzeros));
    batch.values.resize(begin + row_columns_.size());
    streams_.columns.read_counts(row_columns_);
    streams_.values.read_values(std::span(batch.values).subspan(begin));
    check_columns();
    if (!std::is_sorted(row_columns_.begin(), row_columns_.end())) sort_row(std::span(batch.values).subspan(begin));
    const auto twice = std::adjacent_find(row_columns_.begin(), row_columns_.end());
    if (twice != row_columns_.end())
      refuse_row("with column " + std::to_string(*twice) + " more than once; call .sum_duplicates() and save it again");
    for (const std::uint64_t column : row_columns_) batch.columns.push_back(static_cast<std::uint32_t>(column));
    batch.row_ends.push_back(batch.values.size());
    ++batch.rows;
    ++row_;
    row_begin_ = row_end;
  }

  // Before columns are narrowed to 32 bits.
  void check_columns() const {
    for (const std::uint64_t column : row_columns_)
      if (column >= columns_)
        refuse_row("with column " + std::to_string(column) + ", beyond its " + std::to_string(columns_) + " columns");
  }

  void sort_row(std::span<float> values) {
    order_.resize(values.size());
    std::iota(order_.begin(), order_.end(), std::uint32_t{0});
    std::sort(order_.begin(), order_.end(),
              [&](std::uint32_t a, std::uint32_t b) { return row_columns_[a] < row_columns_[b]; });
    unsorted_values_.assign(values.begin(), values.end());
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = unsorted_values_[order_[i]];
    std::sort(row_columns_.begin(), row_columns_.end());
  }

  std::string path_;
  std::uint64_t rows_;
  std::uint64_t columns_;
  CsrStreams streams_;
  std::uint64_t row_ = 0;
  std::uint64_t row_begin_ = 0;
  std::vector<std::uint64_t> starts_;
  std::size_t next_start_ = 0;
  std::vector<std::uint64_t> row_columns_;
  std::vector<std::uint32_t> order_;
  std::vector<float> unsorted_values_;
};

}  // namespace

void NumberStream::refuse(std::size_t index, const std::string& why) const {
  throw Error(ErrorCode::kCorrupt, "'" + name() + "' has at index " + std::to_string(read_ + index) + " " + why);
}

void NumberStream::read_raw(std::size_t count) {
  raw_.resize(count * numeric_bytes(type_));
  stream_->read_exactly(raw_);
}

void NumberStream::read_values(std::span<float> values) {
  if (values.empty()) return;
  read_raw(values.size());
  const std::size_t stuck = decode_numbers(type_, raw_.data(), values);
  if (stuck != values.size()) refuse(stuck, "a value that is too large for f32; scale the input and import it again");
  read_ += values.size();
  if (read_ == count_) stream_->expect_end();
}

void NumberStream::read_counts(std::span<std::uint64_t> counts) {
  if (counts.empty()) return;
  if (!is_count_type(type_)) refuse(0, "numbers that are not integers of 32 or 64 bits");
  read_raw(counts.size());
  const std::size_t stuck = decode_counts(type_, raw_.data(), counts);
  if (stuck != counts.size()) refuse(stuck, "a negative number where one that counts was expected");
  read_ += counts.size();
  if (read_ == count_) stream_->expect_end();
}

std::unique_ptr<RowSource> make_csr_source(const std::string& path, std::uint64_t rows, std::uint64_t columns,
                                           CsrStreams streams) {
  return std::make_unique<CsrSource>(path, rows, columns, std::move(streams));
}

}  // namespace simtile::formats
