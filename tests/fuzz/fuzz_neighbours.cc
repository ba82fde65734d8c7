// A neighbours file, changed and mostly sealed again: verified, and every row, neighbour and id read.
#include "simtile/neighbours.h"
#include "simtile/verify.h"
#include "tests/fuzz/in_memory.h"
#include "tests/fuzz/seal.h"
#include "tests/test_files.h"

namespace simtile::fuzz {
namespace {

constexpr unsigned kLeaveUnsealed = 0x80;  // in the first byte of an input

std::vector<std::string> honest_files(const MemoryFolder& folder) {
  using storage::IdKind;
  const std::string queries = folder / "q.emb", base = folder / "b.emb", path = folder / "honest.knn";
  std::vector<std::string> files;
  tests::write_dense(queries, 5, 3, ElementType::kF32, IdKind::kString);
  tests::write_dense(base, 6, 3, ElementType::kF32, IdKind::kU64);
  tests::write_neighbours(path, queries, base, 2);
  files.push_back(tests::read_bytes(path));
  tests::write_neighbours(path, queries, "", 3);
  files.push_back(tests::read_bytes(path));
  return files;
}

void read_all(const std::string& path) {
  const Neighbours neighbours(path);
  const NeighboursInfo info = neighbours.info();
  for (std::uint64_t row = 0; row < info.rows; ++row) {
    for (const Neighbour& neighbour : neighbours.row(row)) {
      require(neighbour.row < info.base_rows, "a neighbour is a row of the base");
      neighbours.base_id(neighbour.row);
    }
    neighbours.find(neighbours.query_id(row));
  }
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
  return 0;
}
