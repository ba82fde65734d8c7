// Plain text, one document a line: hashed TF-IDF (tfidf.h). A tab in the first line means `id<TAB>document` throughout.
// The text is read twice: once for the document frequencies, once for the rows; standard input is set aside on disk.
#include <unistd.h>

#include <cmath>
#include <optional>

#include "engine/formats/dense_source.h"
#include "engine/formats/line_reader.h"
#include "engine/formats/sources.h"
#include "engine/formats/tfidf.h"
#include "simtile/error.h"

namespace simtile::formats {
namespace {

// Four bytes each are held in memory.
constexpr std::uint64_t kMaxBuckets = std::uint64_t{1} << 22;
constexpr std::uint64_t kMaxTextDims = std::uint64_t{1} << 20;

std::unique_ptr<storage::Spool> spool_stdin(const std::string& beside) {
  auto spool = std::make_unique<storage::Spool>(beside);
  const os::File input = os::File::adopt(::dup(STDIN_FILENO), "standard input");
  std::vector<std::byte> piece(65536);
  while (const std::size_t moved = input.read_next(piece)) spool->append(std::span(piece).first(moved));
  return spool;
}

void check_options(const ImportOptions& options) {
  if (options.text_hash_columns == 0 || options.text_hash_columns > kMaxBuckets)
    throw Error(ErrorCode::kInvalidArgument, "text is hashed into 1 to " + std::to_string(kMaxBuckets) +
                                                 " columns, not " + std::to_string(options.text_hash_columns));
  if (options.text_dims > kMaxTextDims)
    throw Error(ErrorCode::kInvalidArgument, "dense text has at most " + std::to_string(kMaxTextDims) +
                                                 " dimensions, not " + std::to_string(options.text_dims));
}

struct Document {
  std::string_view id;
  std::string_view text;
};

class TextSource : public RowSource {
 public:
  explicit TextSource(const SourceRequest& request)
      : dims_(request.options.text_dims),
        buckets_(request.options.text_hash_columns),
        path_(request.path),
        counter_(buckets_),
        frequencies_(buckets_) {
    if (path_ == "-") spool_ = spool_stdin(request.spool_beside);
    lines_.emplace(open_stream());
    for (Document document; next(&document);) frequencies_.add_document(counter_.count(document.text));
    lines_.emplace(open_stream());
  }

  SourceShape shape() const override {
    return {.rows = frequencies_.documents(),
            .columns = dims_ != 0 ? dims_ : buckets_,
            .sparse = dims_ == 0,
            .id_kind = has_ids_ ? storage::IdKind::kString : storage::IdKind::kNone};
  }

  bool read(RowBatch& batch) override {
    batch.clear();
    constexpr std::uint64_t kMaxRows = 4096;
    for (Document document; batch.rows < kMaxRows && batch.values.size() * sizeof(float) < kBatchBytes;) {
      if (!next(&document)) break;
      if (has_ids_) batch.string_ids.emplace_back(document.id);
      const auto& terms = counter_.count(document.text);
      weigh_terms(terms, frequencies_, &weights_);
      if (dims_ == 0)
        append_sparse(terms, batch);
      else
        append_dense(terms, batch);
      ++batch.rows;
    }
    return batch.rows > 0;
  }

 private:
  std::unique_ptr<ByteStream> open_stream() {
    if (spool_) return std::make_unique<SpoolStream>(*spool_, "standard input");
    return std::make_unique<FileStream>(os::File::open_for_reading(path_));
  }

  bool next(Document* document) {
    std::string_view line;
    if (!lines_->next(line)) return false;
    const std::size_t tab = line.find('\t');
    if (lines_->line_number() == 1) has_ids_ = tab != std::string_view::npos;
    *document = {{}, line};
    if (!has_ids_) return true;
    if (tab == std::string_view::npos || tab == 0)
      throw Error(ErrorCode::kCorrupt, lines_->where() + ": no id before a tab, but the first line has one; give " +
                                           "every line an id, or none");
    *document = {line.substr(0, tab), line.substr(tab + 1)};
    return true;
  }

  void append_sparse(const std::vector<TermCount>& terms, RowBatch& batch) {
    for (std::size_t i = 0; i < terms.size(); ++i) {
      batch.columns.push_back(terms[i].bucket);
      batch.values.push_back(static_cast<float>(weights_[i]));
    }
    batch.row_ends.push_back(batch.values.size());
  }

  // Terms that meet in a column may cancel out, so the row is brought back to norm one.
  void append_dense(const std::vector<TermCount>& terms, RowBatch& batch) {
    dense_row_.assign(static_cast<std::size_t>(dims_), 0.0);
    for (std::size_t i = 0; i < terms.size(); ++i) {
      const SignedColumn place = signed_column(terms[i].bucket, dims_);
      dense_row_[static_cast<std::size_t>(place.column)] += place.sign * weights_[i];
    }
    double squares = 0.0;
    for (const double value : dense_row_) squares += value * value;
    const double inverse = squares > 0.0 ? 1.0 / std::sqrt(squares) : 0.0;
    for (const double value : dense_row_) batch.values.push_back(static_cast<float>(value * inverse));
  }

  std::uint64_t dims_;
  std::uint64_t buckets_;
  std::string path_;
  bool has_ids_ = false;
  std::unique_ptr<storage::Spool> spool_;
  std::optional<LineReader> lines_;
  TermCounter counter_;
  DocumentFrequencies frequencies_;
  std::vector<double> weights_;
  std::vector<double> dense_row_;
};

}  // namespace

std::unique_ptr<RowSource> open_text(const SourceRequest& request) {
  check_options(request.options);
  return std::make_unique<TextSource>(request);
}

}  // namespace simtile::formats
