// Neighbours as npy and ivecs: arrays of rows x top_k.
#include <fmt/format.h>

#include <limits>
#include <string_view>
#include <vector>

#include "simtile/error.h"
#include "tools/export.h"
#include "tools/output.h"

namespace simtile::tools {
namespace {

template <typename T>
std::string_view bytes_of(std::span<const T> values) {
  return {reinterpret_cast<const char*>(values.data()), values.size_bytes()};
}

void refuse_standard_output(const ExportJob& job) {
  if (job.destination == "-")
    throw Error(ErrorCode::kInvalidArgument, "only csv and ndjson go to standard output; name a file");
}

// NPY 1.0: magic, version, length of the text, the text padded so that the data starts on a multiple of 64.
std::string npy_header(std::string_view type, const std::string& shape) {
  constexpr std::size_t kPreludeBytes = 10;
  constexpr std::size_t kAlignment = 64;
  std::string text = fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}), }}", type, shape);
  while ((kPreludeBytes + text.size() + 1) % kAlignment != 0) text += ' ';
  text += '\n';
  std::string header = "\x93NUMPY";
  header += {'\1', '\0', static_cast<char>(text.size() & 0xff), static_cast<char>(text.size() >> 8)};
  return header + text;
}

// All pairs: the three arrays of a CSR matrix.
void export_csr(const Neighbours& neighbours, const std::vector<std::string>& paths) {
  const NeighboursInfo& info = neighbours.info();
  Output row_file(paths[0]);
  Output score_file(paths[1]);
  Output start_file(paths[2]);
  row_file.write(npy_header("<i8", fmt::format("{},", info.entries)));
  score_file.write(npy_header("<f4", fmt::format("{},", info.entries)));
  start_file.write(npy_header("<i8", fmt::format("{},", info.rows + 1)));
  std::uint64_t start = 0;
  const auto write_start = [&] { start_file.write(bytes_of(std::span<const std::uint64_t>(&start, 1))); };
  write_start();
  for_each_row(neighbours, [&](std::uint64_t, std::span<const Neighbour> found) {
    for (const Neighbour& neighbour : found) {
      row_file.write(bytes_of(std::span<const std::uint64_t>(&neighbour.row, 1)));
      score_file.write(bytes_of(std::span<const float>(&neighbour.score, 1)));
    }
    start += found.size();
    write_start();
  });
  start_file.finish();
  score_file.finish();
  row_file.finish();
}

}  // namespace

std::vector<std::string> npy_paths(const std::string& destination, bool all_pairs) {
  std::string stem = destination;
  if (stem.ends_with(".npy")) stem.resize(stem.size() - std::string_view(".npy").size());
  std::vector<std::string> paths{stem + ".rows.npy", stem + ".scores.npy"};
  if (all_pairs) paths.push_back(stem + ".starts.npy");
  return paths;
}

void export_npy(const ExportJob& job) {
  refuse_standard_output(job);
  const NeighboursInfo& info = job.neighbours->info();
  const std::vector<std::string> paths = npy_paths(job.destination, info.top_k == 0);
  if (info.top_k == 0) return export_csr(*job.neighbours, paths);
  Output row_file(paths[0]);
  Output score_file(paths[1]);
  const std::string shape = fmt::format("{}, {}", info.rows, info.top_k);
  row_file.write(npy_header("<i8", shape));  // kNoRow is -1 as an i64
  score_file.write(npy_header("<f4", shape));
  for_each_block(*job.neighbours, [&](std::uint64_t, auto rows, auto scores) {
    row_file.write(bytes_of(rows));
    score_file.write(bytes_of(scores));
  });
  score_file.finish();
  row_file.finish();
}

void export_ivecs(const ExportJob& job) {
  refuse_standard_output(job);
  const NeighboursInfo& info = job.neighbours->info();
  constexpr std::uint64_t kMost = std::numeric_limits<std::int32_t>::max();
  if (info.top_k == 0)
    throw Error(ErrorCode::kInvalidArgument, "ivecs holds as many neighbours for each row; choose npy, csv or ndjson");
  if (info.base_rows > kMost + 1 || info.top_k > kMost)
    throw Error(ErrorCode::kInvalidArgument, "ivecs holds 32-bit numbers, but there are " +
                                                 std::to_string(info.base_rows) + " base rows and " +
                                                 std::to_string(info.top_k) + " neighbours a row; choose npy");
  Output output(job.destination);
  std::vector<std::int32_t> record(static_cast<std::size_t>(info.top_k) + 1);
  record[0] = static_cast<std::int32_t>(info.top_k);
  for_each_block(*job.neighbours, [&](std::uint64_t, auto rows, auto) {
    for (std::size_t begin = 0; begin < rows.size(); begin += info.top_k) {
      for (std::size_t k = 0; k < info.top_k; ++k)
        record[k + 1] = rows[begin + k] == kNoRow ? -1 : static_cast<std::int32_t>(rows[begin + k]);
      output.write(bytes_of(std::span<const std::int32_t>(record)));
    }
  });
  output.finish();
}

}  // namespace simtile::tools
