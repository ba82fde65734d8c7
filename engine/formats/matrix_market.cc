// MatrixMarket files: https://math.nist.gov/MatrixMarket/formats.html. `coordinate` lists entries in any order: they
// are sorted on disk (entry_sorter.h). `array` lists all values column by column: they are set aside on disk as they
// come and read back a few rows at a time.
#include <algorithm>
#include <array>
#include <cctype>

#include "engine/base/checked.h"
#include "engine/formats/dense_source.h"
#include "engine/formats/entry_sorter.h"
#include "engine/formats/excerpt.h"
#include "engine/formats/line_reader.h"
#include "engine/formats/sources.h"
#include "simtile/error.h"

namespace simtile::formats {
namespace {

constexpr std::size_t kMaxLine = 4096;

enum class Symmetry { kGeneral, kSymmetric, kSkew };

struct Header {
  bool coordinate = false;
  bool pattern = false;
  Symmetry symmetry = Symmetry::kGeneral;
  std::uint64_t rows = 0;
  std::uint64_t columns = 0;
  std::uint64_t entries = 0;
};

[[noreturn]] void refuse_line(const LineReader& lines, const std::string& why) {
  throw Error(ErrorCode::kCorrupt, lines.where() + ": " + why);
}

// The next line that is neither blank nor a comment.
bool next_line(LineReader& lines, std::string_view* line) {
  while (lines.next(*line)) {
    std::string_view rest = *line;
    const std::string_view token = take_token(&rest);
    if (!token.empty() && token.front() != '%') return true;
  }
  return false;
}

// `matrix coordinate|array real|integer|pattern general|symmetric|skew-symmetric`, in any case.
void parse_banner(const LineReader& lines, std::string_view line, Header* header) {
  std::array<std::string, 5> words;
  for (std::string& word : words)
    for (const char c : take_token(&line)) word += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  if (words[0] != "%%matrixmarket" || words[1] != "matrix")
    refuse_line(lines, "it does not start with '%%MatrixMarket matrix'");
  header->coordinate = words[2] == "coordinate";
  if (!header->coordinate && words[2] != "array")
    refuse_line(lines, "the layout '" + excerpt(words[2]) + "' is unknown");
  header->pattern = words[3] == "pattern";
  if (!header->pattern && words[3] != "real" && words[3] != "integer" && words[3] != "double")
    refuse_line(lines,
                "values of the kind '" + excerpt(words[3]) + "' cannot be imported; real, integer and pattern can");
  if (words[4] == "symmetric")
    header->symmetry = Symmetry::kSymmetric;
  else if (words[4] == "skew-symmetric")
    header->symmetry = Symmetry::kSkew;
  else if (words[4] != "general")
    refuse_line(lines, "the symmetry '" + excerpt(words[4]) +
                           "' cannot be imported; general, symmetric and skew-symmetric can");
  if (!header->coordinate && (header->pattern || header->symmetry != Symmetry::kGeneral))
    refuse_line(lines, "an array must be of the kind 'general' and have values; write it out in full");
}

Header parse_header(LineReader& lines) {
  Header header;
  std::string_view line;
  if (!lines.next(line)) refuse_line(lines, "it is empty");
  parse_banner(lines, line, &header);
  if (!next_line(lines, &line)) refuse_line(lines, "it ends before the line of sizes");
  if (!parse_count(take_token(&line), &header.rows) || !parse_count(take_token(&line), &header.columns) ||
      (header.coordinate && !parse_count(take_token(&line), &header.entries)) || !take_token(&line).empty())
    refuse_line(lines, "this should be the sizes: rows and columns, and for a coordinate file the number of entries");
  if (header.rows == 0 || header.columns == 0) refuse_line(lines, "no rows or no columns: there is nothing to import");
  if (header.columns > 0xffffffffu) refuse_line(lines, "more than 4294967295 columns are not supported");
  if (header.symmetry != Symmetry::kGeneral && header.rows != header.columns)
    refuse_line(lines, "a symmetric matrix must have as many rows as columns");
  if (!header.coordinate)
    header.entries = checked_multiply(header.rows, header.columns, ErrorCode::kCorrupt, lines.where());
  return header;
}

[[noreturn]] void refuse_count(const LineReader& lines, std::uint64_t found, std::uint64_t wanted) {
  refuse_line(lines, "there are " + std::string(found < wanted ? "only " : "more than ") +
                         std::to_string(std::min(found, wanted)) + " entries, but the line of sizes says " +
                         std::to_string(wanted) + "; the file was cut short or grew: make it again");
}

class CoordinateSource : public RowSource {
 public:
  CoordinateSource(LineReader& lines, const Header& header, const std::string& spool_beside)
      : path_(lines.name()), header_(header), sorter_(spool_beside) {
    std::uint64_t found = 0;
    for (std::string_view line; next_line(lines, &line); ++found) {
      if (found == header.entries) refuse_count(lines, found + 1, header.entries);
      append_line(lines, line);
    }
    if (found != header.entries) refuse_count(lines, found, header.entries);
    sorter_.finish();
    has_entry_ = sorter_.next(&entry_);
  }

  SourceShape shape() const override { return {.rows = header_.rows, .columns = header_.columns, .sparse = true}; }

  bool read(RowBatch& batch) override {
    constexpr std::uint64_t kBatchRows = 4096;
    batch.clear();
    for (; row_ < header_.rows && batch.rows < kBatchRows && batch.values.size() * sizeof(float) < kBatchBytes;
         ++row_, ++batch.rows) {
      append_row(batch);
      batch.row_ends.push_back(batch.values.size());
    }
    return batch.rows > 0;
  }

 private:
  void append_line(const LineReader& lines, std::string_view line) {
    std::uint64_t row = 0;
    std::uint64_t column = 0;
    float value = 1.0f;
    if (!parse_count(take_token(&line), &row) || !parse_count(take_token(&line), &column) ||
        (!header_.pattern && !parse_number(take_token(&line), &value)) || !take_token(&line).empty())
      refuse_line(lines, "this should be a row, a column" +
                             std::string(header_.pattern ? "" : " and a value that f32 can hold"));
    if (row == 0 || row > header_.rows || column == 0 || column > header_.columns)
      refuse_line(lines, "row " + std::to_string(row) + ", column " + std::to_string(column) + " is outside of 1 to " +
                             std::to_string(header_.rows) + ", 1 to " + std::to_string(header_.columns));
    sorter_.append({row - 1, static_cast<std::uint32_t>(column - 1), value});
    if (header_.symmetry != Symmetry::kGeneral && row != column)
      sorter_.append(
          {column - 1, static_cast<std::uint32_t>(row - 1), header_.symmetry == Symmetry::kSkew ? -value : value});
  }

  void append_row(RowBatch& batch) {
    const std::size_t begin = batch.columns.size();
    for (; has_entry_ && entry_.row == row_; has_entry_ = sorter_.next(&entry_)) {
      if (batch.columns.size() > begin && batch.columns.back() == entry_.column)
        throw Error(ErrorCode::kCorrupt, "'" + path_ + "' has row " + std::to_string(row_ + 1) + ", column " +
                                             std::to_string(entry_.column + 1) +
                                             " more than once (counted from 1, as in the file); add the entries up");
      if (batch.columns.size() - begin == kMaxDenseColumns)
        throw Error(ErrorCode::kCorrupt, "'" + path_ + "' has more than " + std::to_string(kMaxDenseColumns) +
                                             " entries in row " + std::to_string(row_ + 1) + ", which is too many");
      batch.columns.push_back(entry_.column);
      batch.values.push_back(entry_.value);
    }
  }

  std::string path_;
  Header header_;
  EntrySorter sorter_;
  Entry entry_{};
  bool has_entry_ = false;
  std::uint64_t row_ = 0;
};

class ArraySource : public RowSource {
 public:
  ArraySource(LineReader& lines, const Header& header, const std::string& spool_beside)
      : header_(header), spool_(spool_beside) {
    dense_bytes({header.rows, header.columns, NumericType::kF32}, lines.name());
    std::uint64_t found = 0;
    for (std::string_view line; next_line(lines, &line); ++found) {
      float value = 0.0f;
      if (found == header.entries) refuse_count(lines, found + 1, header.entries);
      if (!parse_number(take_token(&line), &value) || !take_token(&line).empty())
        refuse_line(lines, "this should be one value that f32 can hold");
      spool_.append(std::as_bytes(std::span(&value, 1)));
    }
    if (found != header.entries) refuse_count(lines, found, header.entries);
  }

  SourceShape shape() const override { return {.rows = header_.rows, .columns = header_.columns}; }

  bool read(RowBatch& batch) override {
    batch.rows = std::min(rows_per_batch(header_.columns), header_.rows - row_);
    batch.values.resize(static_cast<std::size_t>(batch.rows * header_.columns));
    column_.resize(static_cast<std::size_t>(batch.rows));
    for (std::uint64_t c = 0; c < header_.columns && batch.rows > 0; ++c) {
      spool_.read_at(std::as_writable_bytes(std::span(column_)), (c * header_.rows + row_) * sizeof(float));
      for (std::uint64_t r = 0; r < batch.rows; ++r) batch.values[r * header_.columns + c] = column_[r];
    }
    row_ += batch.rows;
    return batch.rows > 0;
  }

 private:
  Header header_;
  storage::Spool spool_;
  std::vector<float> column_;
  std::uint64_t row_ = 0;
};

}  // namespace

std::unique_ptr<RowSource> open_matrix_market(const SourceRequest& request) {
  LineReader lines(std::make_unique<FileStream>(os::File::open_for_reading(request.path)), kMaxLine);
  const Header header = parse_header(lines);
  if (header.coordinate) return std::make_unique<CoordinateSource>(lines, header, request.spool_beside);
  return std::make_unique<ArraySource>(lines, header, request.spool_beside);
}

}  // namespace simtile::formats
