// Synthetic matrices. Every row is a function of the options and its own number (counter_random.h).
#include <algorithm>
#include <cmath>
#include <span>
#include <vector>

#include "engine/formats/counter_random.h"
#include "engine/formats/dense_source.h"
#include "engine/formats/zipf.h"
#include "engine/storage/matrix_writer.h"
#include "simtile/error.h"
#include "simtile/import.h"

namespace simtile {
namespace {

using formats::CounterRandom;
using storage::MatrixLayout;
using storage::MatrixWriter;

// What a stream of random numbers is for. Part of what the same seed means: never renumber them.
enum Purpose : std::uint64_t { kRowValues = 1, kCentre = 2, kClusterOfRow = 3, kRowColumns = 4, kColumnValues = 5 };

void check(const GenerateOptions& options) {
  const auto require = [](bool fine, const std::string& what) {
    if (!fine) throw Error(ErrorCode::kInvalidArgument, "cannot generate a matrix: " + what);
  };
  const bool sparse = options.kind == GenerateOptions::Kind::kSparse;
  const std::uint64_t most_dims = sparse ? 0xffffffffu : formats::kMaxDenseColumns;
  require(options.rows > 0, "it needs at least one row");
  require(options.dims > 0 && options.dims <= most_dims, "it can have 1 to " + std::to_string(most_dims) + " dims");
  require(options.cluster_spread >= 0.0 && options.cluster_spread <= 1e6, "the cluster spread must be 0 to 1e6");
  if (!sparse) return;
  require(options.element_type == ElementType::kF32, "sparse ones are f32; leave the element type out");
  require(options.zipf_exponent >= 0.0 && options.zipf_exponent <= 8.0, "the Zipf exponent must be 0 to 8");
  require(options.nonzeros_per_row > 0.0 && options.nonzeros_per_row <= static_cast<double>(options.dims) &&
              options.nonzeros_per_row <= static_cast<double>(formats::kMaxDenseColumns),
          "the non-zeros per row must be above 0 and at most the dims");
}

// u8 holds what a standard deviation of 32 about 128 gives.
void quantize(std::span<float> row, ElementType type) {
  if (type != ElementType::kU8) return;
  for (float& value : row) value = std::clamp(std::floor(128.5f + 32.0f * value), 0.0f, 255.0f);
}

void make_gaussian_row(const GenerateOptions& options, std::uint64_t row, std::span<float> values) {
  const CounterRandom random(options.seed, kRowValues, row);
  for (std::size_t d = 0; d < values.size(); ++d) values[d] = static_cast<float>(random.gaussian(d));
}

// Two centres are sqrt(2 dims) apart on average; noise of deviation spread * sqrt(2) puts a row at spread times that.
void make_clustered_row(const GenerateOptions& options, std::uint64_t clusters, std::uint64_t row,
                        std::span<float> values) {
  const std::uint64_t cluster = CounterRandom(options.seed, kClusterOfRow, row).bits(0) % clusters;
  const CounterRandom centre(options.seed, kCentre, cluster);
  const CounterRandom noise(options.seed, kRowValues, row);
  const double deviation = options.cluster_spread * std::sqrt(2.0);
  for (std::size_t d = 0; d < values.size(); ++d)
    values[d] = static_cast<float>(centre.gaussian(d) + deviation * noise.gaussian(d));
}

void write_dense(const GenerateOptions& options, MatrixWriter& writer) {
  const bool clustered = options.kind == GenerateOptions::Kind::kClustered;
  const std::uint64_t clusters =
      options.clusters != 0
          ? options.clusters
          : std::max<std::uint64_t>(1, static_cast<std::uint64_t>(std::sqrt(static_cast<double>(options.rows))));
  const std::uint64_t batch_rows = formats::rows_per_batch(options.dims);
  std::vector<float> values(static_cast<std::size_t>(options.dims));
  for (std::uint64_t row = 0; row < options.rows; ++row) {
    if (clustered)
      make_clustered_row(options, clusters, row, values);
    else
      make_gaussian_row(options, row, values);
    quantize(values, options.element_type);
    writer.append_rows(values);
    if (options.progress && (row + 1) % batch_rows == 0) options.progress(row + 1, options.rows);
  }
}

// The row's columns, ascending: between half and one and a half times the mean number of them, less what a steep law
// keeps drawing again.
void draw_columns(const GenerateOptions& options, const formats::ZipfLaw& law, std::uint64_t row,
                  std::vector<std::uint32_t>* columns) {
  constexpr int kRounds = 8;
  const CounterRandom random(options.seed, kRowColumns, row);
  const double wanted = std::floor(options.nonzeros_per_row * (0.5 + random.uniform(0)) + 0.5);
  const auto count = std::min(static_cast<std::uint64_t>(wanted), options.dims);
  std::uint64_t drawn = 0;
  columns->clear();
  for (int round = 0; round < kRounds && columns->size() < count; ++round) {
    for (std::uint64_t missing = count - columns->size(); missing > 0; --missing)
      columns->push_back(static_cast<std::uint32_t>(law.column(random.uniform(++drawn))));
    std::sort(columns->begin(), columns->end());
    columns->erase(std::unique(columns->begin(), columns->end()), columns->end());
  }
}

// Returns the number of non-zeros. Values are uniform in (0, 1].
std::uint64_t write_sparse(const GenerateOptions& options, MatrixWriter& writer) {
  const formats::ZipfLaw law(options.dims, options.zipf_exponent);
  std::vector<std::uint32_t> columns;
  std::vector<float> values;
  std::uint64_t nonzeros = 0;
  for (std::uint64_t row = 0; row < options.rows; ++row) {
    draw_columns(options, law, row, &columns);
    const CounterRandom random(options.seed, kColumnValues, row);
    values.clear();
    for (const std::uint32_t column : columns)
      values.push_back(static_cast<float>(1 + (random.bits(column) >> 40)) * 0x1p-24f);
    writer.append_sparse_row(columns, values);
    nonzeros += columns.size();
    if (options.progress && (row + 1) % 4096 == 0) options.progress(row + 1, options.rows);
  }
  return nonzeros;
}

}  // namespace

ImportSummary generate_matrix(const std::string& destination_path, const GenerateOptions& options) {
  check(options);
  const bool sparse = options.kind == GenerateOptions::Kind::kSparse;
  MatrixWriter writer(destination_path, {.layout = sparse ? MatrixLayout::kCsr : MatrixLayout::kDense,
                                         .element_type = options.element_type,
                                         .columns = options.dims,
                                         .source_name = "the generated matrix"});
  ImportSummary summary{.rows = options.rows,
                        .columns = options.dims,
                        .format = "generated",
                        .element_type = options.element_type,
                        .sparse = sparse};
  if (sparse)
    summary.nonzeros = write_sparse(options, writer);
  else
    write_dense(options, writer);
  writer.finish();
  if (options.progress) options.progress(options.rows, options.rows);
  return summary;
}

}  // namespace simtile
