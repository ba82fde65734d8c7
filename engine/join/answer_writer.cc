#include "engine/join/answer_writer.h"

#include "engine/join/job_fields.h"
#include "simtile/error.h"

namespace simtile::join {

AnswerWriter::AnswerWriter(const std::string& path, PreparedJob& job, const JobOptions& options)
    : larger_better_(topk::larger_is_better(options.metric)),
      kept_(static_cast<std::size_t>(job.plan.kept)),
      writer_(path, job.neighbours_body(options), matrix_with_ids(*job.query_side()),
              job.shapes.self_join ? nullptr : &matrix_with_ids(*job.base), job.field_entries()) {
  neighbours_.reserve(job.shapes.all_pairs ? job.shapes.base_rows : kept_);
}

void AnswerWriter::end_row() {
  writer_.append_row(neighbours_);
  entries_ += neighbours_.size();
  neighbours_.clear();
  ++rows_;
}

void AnswerWriter::append_pairs(PairStore& pairs, std::uint64_t rows, const std::atomic<bool>* stop) {
  const auto throw_if_stopped = [stop] {
    if (stop != nullptr && stop->load(std::memory_order_relaxed))
      throw Error(ErrorCode::kInterrupted,
                  "interrupted while the pairs were written; run the same command again to go on from there");
  };
  pairs.for_each(
      [&](const RunEntry& entry) {
        while (rows_ < entry.row) {
          throw_if_stopped();
          end_row();
        }
        take(entry.key());
      },
      throw_if_stopped);
  while (rows_ < rows) end_row();
}

void AnswerWriter::append_finished(const WorkFolder& folder, const Checkpoint& done, const std::atomic<bool>* stop) {
  RunScope scope = folder.scope();
  scope.rows = done.rows_done;
  for (const RunInfo& run : done.finished)
    for (RunReader reader(folder.path(), run, scope); !reader.at_end(); reader.advance()) {
      while (rows_ < reader.entry().row) {
        if (stop != nullptr && stop->load(std::memory_order_relaxed))
          throw Error(ErrorCode::kInterrupted,
                      "interrupted while taking up what was done; run the same command again to go on from there");
        end_row();
      }
      take(reader.entry().key());
    }
  end_rows(done.rows_done);
}

void AnswerWriter::append(const RunEntry& entry) {
  end_rows(entry.row);
  if (neighbours_.size() < kept_) take(entry.key());
}

void AnswerWriter::append_rows(TopKState& state, std::uint64_t end) {
  while (rows_ < end) {
    for (const topk::Key key : state.sorted(rows_)) take(key);
    end_row();
  }
}

}  // namespace simtile::join
