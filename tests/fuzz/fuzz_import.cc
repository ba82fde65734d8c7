// A foreign file of the format `fuzz_format`, which each target defines: read as rows; of those that are accepted, a
// few are imported and read back, which takes many times as long.
#include <cmath>

#include "engine/formats/format_table.h"
#include "engine/storage/matrix_writer.h"
#include "simtile/import.h"
#include "simtile/matrix.h"
#include "tests/fuzz/in_memory.h"
#include "tests/fuzz/stored_zip.h"

extern const char* const fuzz_format;

namespace simtile::fuzz {
namespace {

// A few bytes may say truthfully that there are billions of empty rows: that takes long, and is no fault.
constexpr std::uint64_t kMostRows = 2000;
constexpr std::uint64_t kMostValues = 1 << 16;

ImportOptions options() {
  ImportOptions options;
  options.format = fuzz_format;
  options.text_hash_columns = 64;
  return options;
}

// What importer.cc and MatrixWriter rely on.
void check_batch(const formats::SourceShape& shape, const formats::RowBatch& batch) {
  if (!shape.sparse) {
    require(batch.values.size() % shape.columns == 0, "a dense batch holds whole rows");
  } else {
    require(batch.values.size() == batch.columns.size(), "each value has a column");
    std::uint64_t begin = 0;
    for (const std::uint64_t end : batch.row_ends) {
      require(begin <= end && end <= batch.values.size(), "rows end in order, within the batch");
      for (std::uint64_t i = begin; i < end; ++i)
        require(batch.columns[i] < shape.columns && (i == begin || batch.columns[i - 1] < batch.columns[i]),
                "columns ascend within the shape");
      begin = end;
    }
  }
}

// Whether the source was read to its end.
bool read_rows(const std::string& path, const std::string& spool_beside) {
  const ImportOptions import_options = options();
  const auto source = formats::find_format(import_options.format).open({path, import_options, spool_beside});
  const formats::SourceShape shape = source->shape();
  if (shape.rows > kMostRows || shape.columns == 0 || shape.columns > kMostValues) return false;
  formats::RowBatch batch;
  for (std::uint64_t rows = 0; source->read(batch); rows += batch.rows) {
    check_batch(shape, batch);
    if (rows > kMostRows) return false;
  }
  return true;
}

void import_and_read_back(const std::string& path, const std::string& destination) {
  const ImportSummary summary = import_matrix(path, destination, options());
  const Matrix matrix(destination);
  require(matrix.rows() == summary.rows && matrix.columns() == summary.columns, "the matrix is as the summary says");
  std::vector<float> values(matrix.columns());
  const std::uint64_t rows = std::min(matrix.rows(), 1 + kMostValues / matrix.columns());
  for (std::uint64_t row = 0; row < rows; ++row) {
    matrix.read_row(row, values);
    for (const float value : values) require(std::isfinite(value), "no NaN and no infinity is taken in");
    matrix.find(matrix.id(row));
  }
}

}  // namespace
}  // namespace simtile::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace simtile::fuzz;
  static const MemoryFolder folder;
  static const std::string path = folder / "input";
  if (std::string_view(fuzz_format) == "npz") {
    write_file(path, zip_file({data, size}));
  } else {
    write_file(path, {reinterpret_cast<const char*>(data), size});
  }
  let_refuse([&] {
    if (read_rows(path, folder / "spool") && goes_further(data, size)) import_and_read_back(path, folder / "out.emb");
  });
  return 0;
}
