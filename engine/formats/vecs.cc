// .fvecs, .bvecs, .ivecs: each row is an i32 dimension and that many f32, u8 or i32 values, all little-endian.
#include <algorithm>
#include <cstring>

#include "engine/formats/dense_source.h"
#include "engine/formats/sources.h"
#include "simtile/error.h"

namespace simtile::formats {
namespace {

constexpr std::uint64_t kPrefixBytes = sizeof(std::int32_t);

std::int32_t load_dimension(const std::byte* row) {
  std::int32_t dimension = 0;
  std::memcpy(&dimension, row, sizeof dimension);
  return dimension;
}

class VecsSource : public RowSource {
 public:
  VecsSource(const std::string& path, NumericType type) : type_(type) {
    os::File file = os::File::open_for_reading(path);
    std::byte prefix[kPrefixBytes];
    file.read_exactly_at(prefix, 0);
    check_dimension(path, load_dimension(prefix), 0);
    columns_ = static_cast<std::uint64_t>(load_dimension(prefix));
    row_bytes_ = kPrefixBytes + columns_ * numeric_bytes(type);
    // A file that is not a whole number of rows is refused while it is read: where its rows stop agreeing is what the
    // message should name.
    rows_ = file.size() / row_bytes_;
    if (rows_ == 0) refuse_cut(path, 0);
    dense_bytes({rows_, columns_, type}, path);
    stream_ = std::make_unique<FileStream>(std::move(file));
  }

  SourceShape shape() const override {
    return {.rows = rows_, .columns = columns_, .natural_type = natural_element_type(type_)};
  }

  bool read(RowBatch& batch) override {
    // One more than are left: what stands behind the last whole row is to be found.
    const std::uint64_t rows = std::min(rows_per_batch(columns_), rows_ - next_row_ + 1);
    raw_.resize(static_cast<std::size_t>(rows * row_bytes_));
    const std::size_t bytes = stream_->read(raw_);
    batch.rows = bytes / row_bytes_;
    batch.values.resize(static_cast<std::size_t>(batch.rows * columns_));
    for (std::uint64_t r = 0; r < batch.rows; ++r) decode_row(batch, r);
    if (bytes % row_bytes_ != 0) {
      const std::uint64_t left = bytes % row_bytes_;
      if (left >= kPrefixBytes) check_row(batch.rows);
      refuse_cut(stream_->name(), next_row_ + batch.rows);
    }
    next_row_ += batch.rows;
    return batch.rows > 0;
  }

 private:
  void decode_row(RowBatch& batch, std::uint64_t row_in_batch) {
    check_row(row_in_batch);
    decode_rows(type_, raw_.data() + row_in_batch * row_bytes_ + kPrefixBytes, next_row_ + row_in_batch, columns_,
                std::span(batch.values).subspan(row_in_batch * columns_, columns_), stream_->name());
  }

  void check_row(std::uint64_t row_in_batch) const {
    const std::int32_t dimension = load_dimension(raw_.data() + row_in_batch * row_bytes_);
    const std::uint64_t row = next_row_ + row_in_batch;
    check_dimension(stream_->name(), dimension, row);
    if (static_cast<std::uint64_t>(dimension) != columns_)
      refuse(stream_->name(), row,
             "has dimension " + std::to_string(dimension) + ", but row 0 has " + std::to_string(columns_) +
                 "; all rows must have the same");
  }

  void check_dimension(const std::string& path, std::int32_t dimension, std::uint64_t row) const {
    if (dimension <= 0 || static_cast<std::uint64_t>(dimension) > kMaxDenseColumns)
      refuse(path, row,
             "has dimension " + std::to_string(dimension) + "; 1 to " + std::to_string(kMaxDenseColumns) +
                 " make sense: is this a file of that kind?");
  }
  void refuse_cut(const std::string& path, std::uint64_t row) const {
    refuse(path, row, "is cut short; make the file again");
  }
  [[noreturn]] void refuse(const std::string& path, std::uint64_t row, const std::string& why) const {
    throw Error(ErrorCode::kCorrupt, "'" + path + "', row " + std::to_string(row) + " at offset " +
                                         std::to_string(row * row_bytes_) + ": it " + why);
  }

  NumericType type_;
  std::uint64_t columns_ = 0;
  std::uint64_t row_bytes_ = 0;
  std::uint64_t rows_ = 0;
  std::uint64_t next_row_ = 0;
  std::unique_ptr<FileStream> stream_;
  std::vector<std::byte> raw_;
};

}  // namespace

std::unique_ptr<RowSource> open_fvecs(const SourceRequest& request) {
  return std::make_unique<VecsSource>(request.path, NumericType::kF32);
}
std::unique_ptr<RowSource> open_bvecs(const SourceRequest& request) {
  return std::make_unique<VecsSource>(request.path, NumericType::kU8);
}
std::unique_ptr<RowSource> open_ivecs(const SourceRequest& request) {
  return std::make_unique<VecsSource>(request.path, NumericType::kI32);
}

}  // namespace simtile::formats
