// GloVe and word2vec text: a word and its numbers on each line, the words become ids. word2vec starts with a line of
// two counts, words and dimensions. A word may itself hold spaces (GloVe 840B has some), so the numbers are the last
// tokens of a line.
#include <optional>

#include "engine/formats/dense_source.h"
#include "engine/formats/excerpt.h"
#include "engine/formats/line_reader.h"
#include "engine/formats/sources.h"
#include "simtile/error.h"

namespace simtile::formats {
namespace {

constexpr std::string_view kBlanks = " \t";

std::string_view trim_end(std::string_view text) {
  const std::size_t last = text.find_last_not_of(kBlanks);
  return text.substr(0, last == std::string_view::npos ? 0 : last + 1);
}

// Takes the last token off `text`.
std::string_view take_last_token(std::string_view* text) {
  *text = trim_end(*text);
  const std::size_t blank = text->find_last_of(kBlanks);
  const std::size_t begin = blank == std::string_view::npos ? 0 : blank + 1;
  const std::string_view token = text->substr(begin);
  text->remove_suffix(token.size());
  return token;
}

std::uint64_t count_tokens(std::string_view line) {
  std::uint64_t count = 0;
  while (!take_token(&line).empty()) ++count;
  return count;
}

class WordVectorSource : public RowSource {
 public:
  explicit WordVectorSource(const std::string& path)
      : lines_(std::make_unique<FileStream>(os::File::open_for_reading(path))) {
    std::string_view line;
    if (!lines_.next(line)) throw Error(ErrorCode::kCorrupt, "'" + path + "' is empty: there is nothing to import");
    if (!take_counts(line)) {
      columns_ = count_tokens(line);
      if (columns_ < 2) refuse("a word and its numbers were expected");
      --columns_;
      first_line_.emplace(line);
    }
    dense_bytes({std::max<std::uint64_t>(rows_, 1), columns_, NumericType::kF32}, path);
  }

  SourceShape shape() const override {
    return {.rows = rows_, .columns = columns_, .id_kind = storage::IdKind::kString};
  }

  bool read(RowBatch& batch) override {
    batch.clear();
    std::string_view line;
    while (batch.rows < rows_per_batch(columns_) && next(&line)) {
      append_line(line, batch);
      ++batch.rows;
    }
    rows_read_ += batch.rows;
    if (batch.rows == 0 && rows_ != 0 && rows_read_ != rows_)
      throw Error(ErrorCode::kCorrupt, "'" + lines_.name() + "' has " + std::to_string(rows_read_) +
                                           " words, but its first line says " + std::to_string(rows_) +
                                           "; it was cut short or grew: make it again");
    return batch.rows > 0;
  }

 private:
  [[noreturn]] void refuse(const std::string& why) const {
    throw Error(ErrorCode::kCorrupt, lines_.where() + ": " + why);
  }

  // The "N D" line that word2vec writes first.
  bool take_counts(std::string_view line) {
    if (count_tokens(line) != 2) return false;
    std::uint64_t rows = 0;
    std::uint64_t columns = 0;
    if (!parse_count(take_token(&line), &rows) || !parse_count(take_token(&line), &columns)) return false;
    if (rows == 0 || columns == 0) refuse("zero words or dimensions: there is nothing to import");
    rows_ = rows;
    columns_ = columns;
    return true;
  }

  bool next(std::string_view* line) {
    if (!first_line_) return lines_.next(*line);
    held_line_ = std::move(*first_line_);
    first_line_.reset();
    *line = held_line_;
    return true;
  }

  void append_line(std::string_view line, RowBatch& batch) {
    const std::size_t begin = batch.values.size();
    batch.values.resize(begin + static_cast<std::size_t>(columns_));
    for (std::uint64_t column = columns_; column-- > 0;) {
      const std::string_view token = take_last_token(&line);
      if (token.empty() || !parse_number(token, &batch.values[begin + static_cast<std::size_t>(column)]))
        refuse("'" + excerpt(token) + "' for column " + std::to_string(column) + " of " + std::to_string(columns_) +
               " is not a number that f32 can hold");
    }
    const std::string_view word = trim_end(line);
    if (word.empty()) refuse("no word before its " + std::to_string(columns_) + " numbers");
    batch.string_ids.emplace_back(word);
  }

  LineReader lines_;
  std::uint64_t rows_ = 0;  // what the first line says, if it does
  std::uint64_t columns_ = 0;
  std::uint64_t rows_read_ = 0;
  std::optional<std::string> first_line_;
  std::string held_line_;
};

}  // namespace

std::unique_ptr<RowSource> open_word_vectors(const SourceRequest& request) {
  return std::make_unique<WordVectorSource>(request.path);
}

}  // namespace simtile::formats
