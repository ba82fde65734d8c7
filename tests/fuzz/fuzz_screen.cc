// A screen beside its matrix, changed and mostly sealed again: verified, read to its end, and a few used by a join.
#include "engine/screen/basis.h"
#include "engine/screen/screen_rows.h"
#include "simtile/job.h"
#include "simtile/screen.h"
#include "simtile/verify.h"
#include "tests/fuzz/in_memory.h"
#include "tests/fuzz/seal.h"
#include "tests/job_oracle.h"
#include "tests/test_files.h"

namespace simtile::fuzz {
namespace {

constexpr unsigned kLeaveUnsealed = 0x80;  // in the first byte of an input

class ScreenedMatrix {
 public:
  ScreenedMatrix() {
    tests::write_matrix(matrix_, tests::random_matrix(screen::kFewestRows, screen::kFewestColumns, 1));
    ScreenOptions options;
    options.threads = 1;
    build_screen(matrix_, options);
    honest_ = tests::read_bytes(screen_);
  }

  void change(unsigned choice, Input& input) const {
    std::string bytes = honest_;
    apply_changes(input, bytes);
    if ((choice & kLeaveUnsealed) == 0) seal_container(bytes);
    write_file(screen_, bytes);
  }

  void read_all() const {
    PageBudget budget(std::uint64_t{1} << 30);
    screen::ScreenRows rows(screen_, budget);
    rows.load_basis(budget);
    const std::uint64_t count = rows.body().rows;
    screen::ScreenRows::Window window = rows.window(0, count);
    window.load(0, count);
    volatile double sum = 0.0;
    for (std::uint64_t row = 0; row < count; ++row)
      sum = sum + window.prefix(row)[rows.prefix_dims() - 1] + window.residual_norm(row, rows.prefix_dims()) +
            window.norm(row);
    window.close();
  }

  void join(unsigned choice) const {
    JobOptions options;
    options.top_k = 2;
    options.metric = static_cast<Metric>(1 + choice % 3);
    options.budget_bytes = std::uint64_t{4} << 30;
    options.threads = 1;
    options.screen = ScreenUse::kOn;
    run_job({matrix_, ""}, output_, options);
    verify_file(output_);
  }

  void verify() const { verify_file(screen_); }

 private:
  const MemoryFolder folder_;
  const std::string matrix_ = folder_ / "a.emb", screen_ = default_screen_path(matrix_), output_ = folder_ / "a.knn";
  std::string honest_;
};

}  // namespace
}  // namespace simtile::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace simtile::fuzz;
  static const ScreenedMatrix matrix;
  Input input(data, size);
  const unsigned choice = input.take<std::uint8_t>();
  matrix.change(choice, input);
  let_refuse([&] { matrix.verify(); });
  let_refuse([&] { matrix.read_all(); });
  if (goes_further(data, size)) let_refuse([&] { matrix.join(choice); });
  return 0;
}
