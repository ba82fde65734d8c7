#include "engine/join/guessed_bounds.h"

#include <algorithm>
#include <string>

#include "engine/base/arena.h"
#include "engine/formats/counter_random.h"
#include "engine/join/pipeline.h"
#include "engine/storage/matrix_writer.h"
#include "engine/storage/row_norm.h"
#include "simtile/error.h"

namespace simtile::join {
namespace {

// Rows are written as they are scored: a cosine's at norm one.
void append_dense(const std::vector<std::uint64_t>& rows, Side& field, std::uint32_t threads,
                  storage::MatrixWriter& sample) {
  constexpr std::uint64_t kBytesAtOnce = 256 << 10, kRowsOfATask = 4;
  const std::uint64_t columns = field.matrix.columns();
  const std::uint64_t at_once = std::max<std::uint64_t>(1, kBytesAtOnce / (columns * sizeof(float)));
  run_in_arena(threads, [&] {
    std::vector<float> values;
    for (std::uint64_t begin = 0, end; begin < rows.size(); begin = end) {
      end = std::min<std::uint64_t>(begin + at_once, rows.size());
      values.resize(static_cast<std::size_t>((end - begin) * columns));
      parallel_pieces(begin, end, kRowsOfATask, [&](std::uint64_t first, std::uint64_t last) {
        std::vector<std::byte> stored(static_cast<std::size_t>(field.dense->row_stride_bytes()));
        for (std::uint64_t i = first; i < last; ++i)
          field.dense->decode_row(rows[i], stored, values.data() + (i - begin) * columns);
      });
      sample.append_rows(values);
    }
  });
  field.dense->check_unchanged();
}

void append_sparse(const std::vector<std::uint64_t>& rows, Side& field, bool unit_norm, storage::MatrixWriter& sample) {
  std::vector<float> values;
  for (const std::uint64_t row : rows) {
    SparseRows::Window window = field.sparse->window(row, 1);
    const SparseRow stored = window.row(0);
    values.assign(stored.values.begin(), stored.values.end());
    if (unit_norm)
      for (float& value : values) value = unit_value(value, stored.inverse_norm);
    sample.append_sparse_row(stored.columns, values);
    window.close();
  }
}

storage::MatrixFile write_field(const std::vector<std::uint64_t>& rows, Side& field, bool unit_norm,
                                std::uint32_t threads, const std::string& path) {
  const bool is_sparse = field.matrix.is_sparse();
  storage::MatrixWriterOptions options;
  options.layout = is_sparse ? storage::MatrixLayout::kCsr : storage::MatrixLayout::kDense;
  options.columns = field.matrix.columns();
  options.source_name = field.matrix.path() + " (sampled rows)";
  options.durability = storage::Durability::kTemporary;
  storage::MatrixWriter writer(path, options);
  if (is_sparse)
    append_sparse(rows, field, unit_norm, writer);
  else
    append_dense(rows, field, threads, writer);
  writer.finish();
  storage::MatrixFile sample = storage::MatrixFile::open(path);
  os::remove_file(path);
  return sample;
}

// Counts bytes against the budget that are not a BudgetedMemory.
class Charge {
 public:
  Charge(PageBudget& budget, std::uint64_t bytes) : budget_(budget), bytes_(bytes) { budget.charge(bytes); }
  Charge(const Charge&) = delete;
  Charge& operator=(const Charge&) = delete;
  ~Charge() { budget_.release(bytes_); }

 private:
  PageBudget& budget_;
  std::uint64_t bytes_;
};

// Hands a row's bound on once its best of the sample are known.
class Guesser {
 public:
  Guesser(const std::vector<std::uint64_t>& rows, const PreparedJob& job, Metric metric, TopKState& found,
          TopKState& state)
      : rows_(rows),
        self_join_(job.shapes.self_join),
        rank_(job.shapes.sample.rank),
        larger_better_(topk::larger_is_better(metric)),
        found_(found),
        state_(state) {}

  void guess(std::uint64_t row) {
    std::uint64_t better = 0;
    for (const topk::Key key : found_.sorted(row)) {
      if (self_join_ && rows_[topk::key_row(key)] == row) continue;
      if (++better < rank_) continue;
      state_.tighten(row, topk::bound_of_min_score(larger_better_, topk::key_score(larger_better_, key)));
      return;
    }
  }

 private:
  const std::vector<std::uint64_t>& rows_;
  bool self_join_;
  std::uint64_t rank_;
  bool larger_better_;
  TopKState& found_;
  TopKState& state_;
};

}  // namespace

// Selection sampling: Knuth, The Art of Computer Programming 2, 3.4.2, algorithm S.
std::vector<std::uint64_t> sampled_rows(std::uint64_t rows, std::uint64_t sampled) {
  constexpr std::uint64_t kSeed = 0x73696d74696c65;
  const formats::CounterRandom random(kSeed, rows, sampled);
  std::vector<std::uint64_t> chosen;
  chosen.reserve(static_cast<std::size_t>(sampled));
  for (std::uint64_t row = 0; chosen.size() < sampled; ++row)
    if (static_cast<double>(rows - row) * random.uniform(row) < static_cast<double>(sampled - chosen.size()))
      chosen.push_back(row);
  return chosen;
}

std::unique_ptr<Side> write_sample(PreparedJob& job, Metric metric, const std::string& folder, PageBudget& budget) {
  const std::vector<std::uint64_t> rows = sampled_rows(job.shapes.base_rows, job.shapes.sample.rows);
  const std::string path = folder + "/sample.emb";
  const bool unit_norm = metric == Metric::kCosine;
  auto sample = std::make_unique<Side>(write_field(rows, *job.base, unit_norm, job.shapes.threads, path));
  for (const auto& field : job.base->more_fields)
    sample->more_fields.push_back(
        std::make_unique<Side>(write_field(rows, *field, unit_norm, job.shapes.threads, path)));
  sample->open_rows(budget, false);
  return sample;
}

void guess_bounds(PreparedJob& job, Side& sample, const JobOptions& options, PageBudget& budget, WorkFolder& folder,
                  TopKState& state, std::uint64_t rows_done, const std::function<void()>& on_tile) {
  const plan::Shapes search = job.sample_search(rows_done);
  const plan::TilePlan plan = *job.sample_plan();
  const Charge charge(budget, search.fixed_bytes);
  const std::vector<std::uint64_t> rows = sampled_rows(job.shapes.base_rows, job.shapes.sample.rows);
  const bool larger_better = topk::larger_is_better(options.metric);
  TopKState found(budget, search, plan, topk::bound_of_min_score(larger_better, options.min_score), *job.kernel,
                  folder);
  Guesser guesser(rows, job, options.metric, found, state);
  std::uint64_t guessed = rows_done;
  const auto guess_up_to = [&](std::uint64_t end) {
    for (; guessed < end; ++guessed) guesser.guess(guessed);
  };
  Pipeline pipeline(
      {job.query_side(), &sample, search, plan, job.budget_bytes, job.kernel, job.screen_kernel, options.metric,
       options.stop, options.memory_is_short, [&on_tile](const plan::Tile&, double) { on_tile(); }, guess_up_to},
      budget, found, rows_done);
  while (!pipeline.at_end()) {
    pipeline.run_segment([](std::uint64_t) { return false; });
    if (pipeline.stopped())
      throw Error(ErrorCode::kInterrupted, "interrupted before the first tile; run the same command again");
    if (!found.is_resident()) guess_up_to(pipeline.rows_done());
  }
}

}  // namespace simtile::join
