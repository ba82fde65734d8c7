#include "engine/formats/dense_source.h"

#include <algorithm>

#include "engine/base/checked.h"
#include "simtile/error.h"

namespace simtile::formats {
namespace {

class DenseSource : public RowSource {
 public:
  DenseSource(std::unique_ptr<ByteStream> stream, const DenseLayout& layout)
      : stream_(std::move(stream)), layout_(layout) {
    dense_bytes(layout, stream_->name());
  }

  SourceShape shape() const override {
    return {.rows = layout_.rows, .columns = layout_.columns, .natural_type = natural_element_type(layout_.type)};
  }

  bool read(RowBatch& batch) override {
    batch.rows = std::min(rows_per_batch(layout_.columns), layout_.rows - next_row_);
    batch.values.resize(static_cast<std::size_t>(batch.rows * layout_.columns));
    if (batch.rows == 0) return false;
    if (layout_.type == NumericType::kF32) {
      stream_->read_exactly(std::as_writable_bytes(std::span(batch.values)));
    } else {
      raw_.resize(batch.values.size() * numeric_bytes(layout_.type));
      stream_->read_exactly(raw_);
      decode_rows(layout_.type, raw_.data(), next_row_, layout_.columns, batch.values, stream_->name());
    }
    next_row_ += batch.rows;
    if (next_row_ == layout_.rows) stream_->expect_end();
    return true;
  }

 private:
  std::unique_ptr<ByteStream> stream_;
  DenseLayout layout_;
  std::uint64_t next_row_ = 0;
  std::vector<std::byte> raw_;
};

}  // namespace

std::uint64_t dense_bytes(const DenseLayout& layout, const std::string& name) {
  if (layout.rows == 0 || layout.columns == 0)
    throw Error(ErrorCode::kCorrupt, "'" + name + "' has " + std::to_string(layout.rows) + " rows of " +
                                         std::to_string(layout.columns) + " columns: there is nothing to import");
  if (layout.columns > kMaxDenseColumns)
    throw Error(ErrorCode::kCorrupt, "'" + name + "' says it has " + std::to_string(layout.columns) +
                                         " columns, but dense rows have at most " + std::to_string(kMaxDenseColumns) +
                                         "; store such rows as a sparse matrix");
  return checked_multiply(layout.rows, layout.columns * numeric_bytes(layout.type), ErrorCode::kCorrupt,
                          "the size that '" + name + "' says it has (rows x bytes a row)");
}

std::uint64_t rows_per_batch(std::uint64_t columns) noexcept {
  return std::max<std::uint64_t>(1, kBatchBytes / (columns * sizeof(float)));
}

void decode_rows(NumericType type, const std::byte* bytes, std::uint64_t first_row, std::uint64_t columns,
                 std::span<float> values, const std::string& name) {
  const std::size_t stuck = decode_numbers(type, bytes, values);
  if (stuck == values.size()) return;
  throw Error(ErrorCode::kCorrupt, "'" + name + "' has a value in row " + std::to_string(first_row + stuck / columns) +
                                       ", column " + std::to_string(stuck % columns) +
                                       " that is too large for f32; scale the input and import it again");
}

std::unique_ptr<RowSource> make_dense_source(std::unique_ptr<ByteStream> stream, const DenseLayout& layout) {
  return std::make_unique<DenseSource>(std::move(stream), layout);
}

}  // namespace simtile::formats
