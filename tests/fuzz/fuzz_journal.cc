// What an interrupted job left: its journal or one of its runs, changed and mostly sealed again, and the job resumed.
#include <atomic>

#include "engine/join/journal.h"
#include "simtile/error.h"
#include "simtile/job.h"
#include "simtile/verify.h"
#include "tests/fuzz/in_memory.h"
#include "tests/fuzz/seal.h"
#include "tests/job_oracle.h"
#include "tests/test_files.h"

namespace simtile::fuzz {
namespace {

// What the first byte of an input says; its lowest bits choose the file.
constexpr unsigned kLeaveUnsealed = 0x80;
constexpr unsigned kOnlyLoad = 0x40;  // without the job: many times faster

constexpr std::uint64_t kRows = 1200;

class InterruptedJob {
 public:
  InterruptedJob() {
    tests::write_matrix(matrix_, tests::random_matrix(kRows, 4, 1));
    std::atomic<bool> stop{false};
    JobOptions stopping = options();
    stopping.stop = &stop;
    stopping.progress = [&](const JobProgress& progress) { stop = progress.fraction_done > 0.3; };
    try {
      run_job({matrix_, ""}, output_, stopping);
    } catch (const Error& error) {
      require(error.code() == ErrorCode::kInterrupted, "the job is interrupted");
    }
    std::filesystem::copy(work_dir_, kept_);
    for (const auto& file : std::filesystem::directory_iterator(kept_))
      if (file.path().filename() != "lock") names_.push_back(file.path().filename().string());
    std::sort(names_.begin(), names_.end());
    require(names_.back() == "journal" && names_.size() >= 3, "it left a journal and runs");
    std::memcpy(&identity_, tests::read_bytes(kept_ + "/journal").data() + 16, sizeof identity_);
  }

  // The state with one file changed as the input says.
  void change(unsigned choice, Input& input) const {
    std::filesystem::remove_all(work_dir_);
    std::filesystem::copy(kept_, work_dir_);
    const std::string& name = names_[names_.size() - 1 - choice % names_.size()];
    std::string bytes = tests::read_bytes(work_dir_ + "/" + name);
    apply_changes(input, bytes);
    if ((choice & kLeaveUnsealed) == 0) name == "journal" ? seal_journal(bytes) : seal_run(bytes);
    tests::write_bytes(work_dir_ + "/" + name, bytes);
  }

  void load() const {
    join::WorkFolder folder(work_dir_, {identity_, kRows, kRows});
    const std::optional<join::Checkpoint> checkpoint = folder.load();
    if (!checkpoint) return;
    for (const auto& runs : {checkpoint->finished, checkpoint->candidates})
      for (const join::RunInfo& run : runs)
        for (join::RunReader reader(work_dir_, run, folder.scope()); !reader.at_end(); reader.advance())
          require(reader.entry().row < kRows, "entries name rows of the job");
  }

  void resume() const {
    run_job({matrix_, ""}, output_, options());
    verify_file(output_);
  }

 private:
  static JobOptions options() {
    JobOptions options;
    options.top_k = 1;
    options.metric = Metric::kInnerProduct;
    options.budget_bytes = std::uint64_t{4} << 30;
    options.threads = 1;
    options.checkpoint_seconds = 0.0;
    return options;
  }

  const MemoryFolder folder_;
  const std::string matrix_ = folder_ / "a.emb", output_ = folder_ / "a.knn";
  const std::string work_dir_ = output_ + ".work", kept_ = folder_ / "kept";
  std::vector<std::string> names_;
  std::uint64_t identity_ = 0;
};

}  // namespace
}  // namespace simtile::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace simtile::fuzz;
  static const InterruptedJob job;
  Input input(data, size);
  const unsigned choice = input.take<std::uint8_t>();
  job.change(choice, input);
  try {
    if ((choice & kOnlyLoad) != 0)
      job.load();
    else
      job.resume();
  } catch (const simtile::Error&) {
  }
  return 0;
}
