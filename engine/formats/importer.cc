// Pulls rows from a foreign file and pushes them into a matrix file.
#include <optional>

#include "engine/formats/format_table.h"
#include "engine/formats/id_list.h"
#include "engine/formats/sources.h"
#include "engine/storage/container_writer.h"
#include "engine/storage/matrix_writer.h"
#include "simtile/error.h"
#include "simtile/import.h"

namespace simtile {
namespace {

using formats::Format;
using formats::RowBatch;
using formats::SourceShape;
using storage::IdKind;
using storage::MatrixLayout;
using storage::MatrixWriter;

const Format& choose_format(const std::string& path, const ImportOptions& options) {
  const bool is_stdin = path == "-";
  const bool is_auto = options.format == "auto";
  const Format& format =
      is_auto && !is_stdin ? formats::detect_format(path) : formats::find_format(is_auto ? "text" : options.format);
  const auto refuse = [&](const std::string& why) {
    throw Error(ErrorCode::kInvalidArgument, "the format " + std::string(format.name) + " " + why);
  };
  if (is_stdin && format.name != "text") refuse("cannot be read from standard input; name a file");
  if (!options.dataset.empty() && !format.has_datasets) refuse("has no named datasets; leave --dataset out");
  if (options.text_dims != 0 && format.name != "text") refuse("has columns of its own; text dimensions are for text");
  return format;
}

// Unit rows have no use for the integers they came from.
ElementType choose_element_type(const SourceShape& shape, const ImportOptions& options) {
  if (options.element_type) return *options.element_type;
  const bool is_8_bit = shape.natural_type == ElementType::kI8 || shape.natural_type == ElementType::kU8;
  return options.normalize && is_8_bit ? ElementType::kF32 : shape.natural_type;
}

storage::MatrixWriterOptions writer_options(const SourceShape& shape, IdKind id_kind, const std::string& source_path,
                                            const ImportOptions& options) {
  const ElementType type = choose_element_type(shape, options);
  return {
      .layout = shape.sparse ? MatrixLayout::kCsr : MatrixLayout::kDense,
      .element_type = type,
      .columns = shape.columns,
      .id_kind = id_kind,
      .normalize = options.normalize,
      .integers_as_they_are = type == ElementType::kI8 && shape.natural_type == ElementType::kI8 && !options.normalize,
      .source_name = source_path};
}

// Returns the number of non-zeros.
std::uint64_t append_sparse(const RowBatch& batch, MatrixWriter& writer) {
  std::uint64_t begin = 0;
  std::uint64_t nonzeros = 0;
  for (const std::uint64_t end : batch.row_ends) {
    const auto values = std::span(batch.values).subspan(begin, end - begin);
    writer.append_sparse_row(std::span(batch.columns).subspan(begin, end - begin), values);
    for (const float value : values) nonzeros += value != 0.0f ? 1u : 0u;
    begin = end;
  }
  return nonzeros;
}

void append_source_ids(const RowBatch& batch, MatrixWriter& writer) {
  for (const std::uint64_t id : batch.u64_ids) writer.append_id(id);
  for (const std::string& id : batch.string_ids) writer.append_id(id);
}

void check_id_count(const formats::IdList& ids, std::uint64_t rows, const std::string& source_path) {
  if (ids.count == rows) return;
  throw Error(ErrorCode::kCorrupt, "'" + ids.path + "' has " + std::to_string(ids.count) + " ids, but '" + source_path +
                                       "' has " + std::to_string(rows) + " rows; give one id a line for each row");
}

}  // namespace

ImportSummary import_matrix(const std::string& source_path, const std::string& destination_path,
                            const ImportOptions& options) {
  storage::check_output_path(destination_path, {source_path, options.ids_path});
  const Format& format = choose_format(source_path, options);
  const auto source = format.open({source_path, options, destination_path});
  const SourceShape shape = source->shape();
  std::optional<formats::IdList> ids;
  if (!options.ids_path.empty()) {
    ids = formats::scan_ids(options.ids_path);
    if (shape.rows != 0) check_id_count(*ids, shape.rows, source_path);
  }
  const IdKind id_kind = ids ? ids->kind : shape.id_kind;
  const auto writing = writer_options(shape, id_kind, source_path, options);
  MatrixWriter writer(destination_path, writing);

  ImportSummary summary{.columns = shape.columns,
                        .format = std::string(format.name),
                        .element_type = writing.element_type,
                        .sparse = shape.sparse,
                        .has_ids = id_kind != IdKind::kNone};
  for (RowBatch batch; source->read(batch);) {
    if (shape.sparse)
      summary.nonzeros += append_sparse(batch, writer);
    else
      writer.append_rows(batch.values);
    if (!ids) append_source_ids(batch, writer);
    if (options.progress) options.progress(writer.rows(), shape.rows);
  }
  if (ids) {
    check_id_count(*ids, writer.rows(), source_path);
    formats::append_ids(*ids, writer);
  }
  summary.rows = writer.rows();
  writer.finish();
  return summary;
}

}  // namespace simtile
