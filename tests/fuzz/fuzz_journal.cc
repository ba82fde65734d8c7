// What an interrupted job left: its journal or one of its runs, changed and mostly sealed again. All of it is read, and
// from a few the job is resumed.
#include <algorithm>
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

constexpr unsigned kLeaveUnsealed = 0x80;  // in the first byte of an input, which chooses the file as well

// Two stripes, and few rows more: what is left for the job to do is soon done.
constexpr std::uint64_t kRows = 1100;
// Few rows have a neighbour that good: each input reads all that was put by.
constexpr float kMinScore = 9.0f;

class InterruptedJob {
 public:
  InterruptedJob() {
    tests::write_matrix(matrix_, tests::random_matrix(kRows, 4, 1));
    std::atomic<bool> stop{false};
    JobOptions stopping = options();
    stopping.stop = &stop;
    stopping.progress = [&](const JobProgress& progress) { stop = progress.fraction_done > 0.9; };
    try {
      run_job({matrix_, ""}, output_, stopping);
    } catch (const Error& error) {
      require(error.code() == ErrorCode::kInterrupted, "the job is interrupted");
    }
    for (const auto& file : std::filesystem::directory_iterator(work_dir_))
      if (const std::string name = file.path().filename(); name != "lock")
        files_.push_back({name, tests::read_bytes(file.path())});
    std::sort(files_.begin(), files_.end(), [](const auto& a, const auto& b) { return a.name > b.name; });
    require(files_.front().name == "journal" && files_.size() == 5, "it left a journal and two runs of either kind");
    std::memcpy(&identity_, files_.front().bytes.data() + 16, sizeof identity_);
  }

  // The state with one file changed as the input says.
  void change(unsigned choice, Input& input) {
    restore();
    const KeptFile& file = files_[choice % files_.size()];
    std::string bytes = file.bytes;
    apply_changes(input, bytes);
    if ((choice & kLeaveUnsealed) == 0) file.name == "journal" ? seal_journal(bytes) : seal_run(bytes);
    write_file(work_dir_ + "/" + file.name, bytes);
    changed_ = &file;
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

  void resume() {
    resumed_ = true;
    run_job({matrix_, ""}, output_, options());
    verify_file(output_);
  }

 private:
  struct KeptFile {
    std::string name;
    std::string bytes;
  };

  // The work folder as the job left it. A job that was resumed may have changed and removed anything in it.
  void restore() {
    if (resumed_) {
      std::filesystem::remove_all(work_dir_);
      std::filesystem::create_directory(work_dir_);
      for (const KeptFile& file : files_) write_file(work_dir_ + "/" + file.name, file.bytes);
    } else if (changed_ != nullptr) {
      write_file(work_dir_ + "/" + changed_->name, changed_->bytes);
    }
    resumed_ = false;
  }

  static JobOptions options() {
    JobOptions options;
    options.top_k = 1;
    options.metric = Metric::kInnerProduct;
    options.min_score = kMinScore;
    options.budget_bytes = std::uint64_t{4} << 30;
    options.threads = 1;
    options.checkpoint_seconds = 0.0;
    return options;
  }

  const MemoryFolder folder_;
  const std::string matrix_ = folder_ / "a.emb", output_ = folder_ / "a.knn";
  const std::string work_dir_ = output_ + ".work";
  std::vector<KeptFile> files_;  // the journal first
  std::uint64_t identity_ = 0;
  const KeptFile* changed_ = nullptr;
  bool resumed_ = false;
};

}  // namespace
}  // namespace simtile::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace simtile::fuzz;
  static InterruptedJob job;
  Input input(data, size);
  const unsigned choice = input.take<std::uint8_t>();
  job.change(choice, input);
  let_refuse([&] { job.load(); });
  if (goes_further(data, size)) let_refuse([&] { job.resume(); });
  return 0;
}
