// A matrix file, changed and mostly sealed again: verified, every row and id read, and a few joined with themselves.
#include "simtile/job.h"
#include "simtile/matrix.h"
#include "simtile/verify.h"
#include "tests/fuzz/in_memory.h"
#include "tests/fuzz/seal.h"
#include "tests/test_files.h"

namespace simtile::fuzz {
namespace {

constexpr unsigned kLeaveUnsealed = 0x80;  // in the first byte of an input, beside the honest file that it changes
// A sparse matrix may say truthfully that it has billions of columns: reading a row then takes as many floats.
constexpr std::uint64_t kMostColumns = 1 << 20;

std::vector<std::string> honest_files(const MemoryFolder& folder) {
  using storage::IdKind;
  const std::string path = folder / "honest.emb";
  std::vector<std::string> files;
  tests::write_dense(path, 5, 3, ElementType::kF32, IdKind::kString);
  files.push_back(tests::read_bytes(path));
  tests::write_dense(path, 9, 4, ElementType::kI8, IdKind::kU64);
  files.push_back(tests::read_bytes(path));
  tests::write_dense(path, 6, 70, ElementType::kBF16);
  files.push_back(tests::read_bytes(path));
  tests::write_sparse(path, 9, {{{0, 3}, {1.0f, 2.0f}}, {{}, {}}, {{1, 2, 8}, {3.0f, 4.0f, 5.0f}}, {{8}, {1.0f}}},
                      IdKind::kU64);
  files.push_back(tests::read_bytes(path));
  return files;
}

void read_all(const std::string& path) {
  const Matrix matrix(path);
  if (matrix.columns() > kMostColumns) return;
  std::vector<float> values(matrix.columns());
  for (std::uint64_t row = 0; row < matrix.rows(); ++row) {
    matrix.read_row(row, values);
    matrix.find(matrix.id(row));
  }
}

void join(const std::string& path, const std::string& output, unsigned choice) {
  JobOptions options;
  options.top_k = 2;
  options.metric = static_cast<Metric>(1 + choice % 3);
  options.budget_bytes = std::uint64_t{4} << 30;
  options.threads = 1;
  run_job({path, ""}, output, options);
  verify_file(output);
}

}  // namespace
}  // namespace simtile::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace simtile::fuzz;
  static const MemoryFolder folder;
  static const std::string path = folder / "input";
  static const std::vector<std::string> honest = honest_files(folder);
  Input input(data, size);
  const unsigned choice = input.take<std::uint8_t>();
  std::string bytes = honest[choice % honest.size()];
  apply_changes(input, bytes);
  if ((choice & kLeaveUnsealed) == 0) seal_container(bytes);
  write_file(path, bytes);
  let_refuse([&] { simtile::verify_file(path); });
  let_refuse([&] { read_all(path); });
  if (goes_further(data, size)) let_refuse([&] { join(path, folder / "out.knn", choice >> 2); });
  return 0;
}
