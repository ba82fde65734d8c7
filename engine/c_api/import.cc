// The C ABI's ways to make a matrix file: from a foreign file, and from memory.
#include "simtile/import.h"

#include "engine/base/checked.h"
#include "engine/c_api/guarded.h"
#include "engine/storage/matrix_writer.h"
#include "simtile/verify.h"

namespace simtile::c_api {
namespace {

simtile_import_options default_import_options() {
  simtile_import_options options{};
  options.size = sizeof options;
  return options;
}

simtile_write_options default_write_options() {
  simtile_write_options options{};
  options.size = sizeof options;
  options.element_type = SIMTILE_F32;
  return options;
}

ElementType element_type_of(std::uint32_t value) {
  require(value >= SIMTILE_F32 && value <= SIMTILE_U8, "an element type that is none of SIMTILE_F32 ... SIMTILE_U8");
  return static_cast<ElementType>(value);
}

ImportOptions import_options_of(const simtile_import_options& given) {
  ImportOptions options;
  if (given.format != nullptr) options.format = given.format;
  options.ids_path = text_or_empty(given.ids_path);
  options.dataset = text_or_empty(given.dataset);
  if (given.element_type != 0) options.element_type = element_type_of(given.element_type);
  options.normalize = given.normalize != 0;
  options.text_dims = given.text_dims;
  if (given.progress != nullptr)
    options.progress = [progress = given.progress, context = given.progress_context](std::uint64_t done,
                                                                                     std::uint64_t total) {
      simtile_progress now{};
      now.size = sizeof now;
      now.rows_done = done;
      now.rows_total = total;
      if (total != 0) now.fraction_done = static_cast<double>(done) / static_cast<double>(total);
      progress(&now, context);
    };
  return options;
}

void fill_summary(const ImportSummary& done, simtile_import_summary* summary) {
  if (summary == nullptr) return;
  simtile_import_summary value{};
  value.rows = done.rows;
  value.columns = done.columns;
  value.nonzeros = done.nonzeros;
  value.element_type = static_cast<std::uint32_t>(done.element_type);
  value.is_sparse = done.sparse;
  value.has_ids = done.has_ids;
  fill(summary, value);
}

storage::IdKind id_kind_of(const simtile_write_options& options) {
  require(options.u64_ids == nullptr || options.string_ids == nullptr,
          "u64_ids and string_ids are both given; give one of them");
  if (options.u64_ids != nullptr) return storage::IdKind::kU64;
  return options.string_ids != nullptr ? storage::IdKind::kString : storage::IdKind::kNone;
}

std::string_view string_id_of(const simtile_write_options& options, std::uint64_t row) {
  if (options.string_ids[row] == nullptr)
    throw Error(ErrorCode::kInvalidArgument,
                "string_ids is NULL for row " + std::to_string(row) + "; give one id for each row");
  return options.string_ids[row];
}

}  // namespace
}  // namespace simtile::c_api

using namespace simtile::c_api;

void simtile_import_options_init(simtile_import_options* options, size_t size) {
  init(options, size, default_import_options());
}

simtile_status simtile_import(const char* source_path, const char* matrix_path, const simtile_import_options* options,
                              simtile_import_summary* summary) {
  return guarded([&] {
    require(source_path != nullptr && matrix_path != nullptr, "simtile_import: a path is NULL");
    fill_summary(simtile::import_matrix(source_path, matrix_path,
                                        import_options_of(options_of(options, default_import_options()))),
                 summary);
  });
}

void simtile_write_options_init(simtile_write_options* options, size_t size) {
  init(options, size, default_write_options());
}

simtile_status simtile_write_matrix(const char* matrix_path, const float* values, uint64_t rows, uint64_t columns,
                                    uint64_t row_stride, const simtile_write_options* options) {
  return guarded([&] {
    require(matrix_path != nullptr && values != nullptr, "simtile_write_matrix: the path or the values are NULL");
    require(row_stride >= columns, "simtile_write_matrix: row_stride is in floats and at least columns");
    const simtile_write_options given = options_of(options, default_write_options());
    simtile::storage::MatrixWriter writer(
        matrix_path,
        {.element_type = given.element_type == 0 ? simtile::ElementType::kF32 : element_type_of(given.element_type),
         .columns = columns,
         .id_kind = id_kind_of(given),
         .normalize = given.normalize != 0,
         .source_name = "memory"});
    for (uint64_t row = 0; row < rows; ++row) {
      writer.append_rows({values + row * row_stride, static_cast<std::size_t>(columns)});
      if (given.u64_ids != nullptr) writer.append_id(given.u64_ids[row]);
      if (given.string_ids != nullptr) writer.append_id(string_id_of(given, row));
    }
    writer.finish();
  });
}

simtile_status simtile_verify(const char* path) {
  return guarded([&] {
    require(path != nullptr, "simtile_verify: the path is NULL");
    simtile::verify_file(path);
  });
}
