#include "engine/screen/screen_builder.h"

#include <oneapi/tbb/parallel_pipeline.h>

#include <algorithm>
#include <deque>
#include <span>

#include "engine/base/arena.h"
#include "engine/base/checked.h"
#include "engine/base/os.h"
#include "engine/screen/projection.h"
#include "engine/storage/screen_layout.h"
#include "simtile/error.h"

namespace simtile::screen {
namespace {

using storage::kScreenStep;
using storage::SectionKind;

// Rows that one task decodes and projects, at least; a multiple of every kernel's query width.
constexpr std::uint64_t kPieceRows = 168;

// The rows of one task, on their way to the file.
struct Piece {
  Piece(PageBudget& budget, const Projection& projection, std::uint64_t columns, std::uint64_t prefix_dims)
      : scratch(projection),
        values(budget, projection.rows_at_once() * columns * sizeof(float)),
        prefixes(budget, kPieceRows * prefix_dims * sizeof(float)),
        residuals(budget, kPieceRows * prefix_dims / kScreenStep * sizeof(float)),
        norms(budget, kPieceRows * sizeof(double)) {}

  std::uint64_t first = 0;
  std::uint64_t count = 0;
  Projection::Scratch scratch;
  BudgetedMemory values;
  BudgetedMemory prefixes;
  BudgetedMemory residuals;
  BudgetedMemory norms;
};

class Builder {
 public:
  Builder(PageBudget& budget, const kernels::TileKernel& kernel, const storage::MatrixFile& matrix, DenseRows& rows,
          const Basis& basis, const std::string& path, const BuildOptions& options)
      : matrix_(matrix),
        rows_(rows),
        basis_(basis),
        options_(options),
        projection_(budget, kernel, basis.directions.as<float>(), basis.prefix_dims, basis.columns, basis.error),
        out_(path, storage::kScreenMagic, options.durability),
        prefixes_(out_.begin_section(SectionKind::kRowPrefixes)),
        residuals_(section_after(SectionKind::kResidualNorms, prefixes_end(), basis.prefix_dims / kScreenStep * 4)),
        norms_(section_after(SectionKind::kRowNorms, section_end_, sizeof(double))) {
    for (std::uint32_t i = 0; i < options.threads + 2; ++i)
      pieces_.emplace_back(budget, projection_, basis.columns, basis.prefix_dims);
  }

  void run() {
    if (has_lost_threads()) {
      while (Piece* piece = next_piece()) {
        project(*piece);
        write(*piece);
      }
    } else {
      run_in_arena(options_.threads, [&] { run_pipeline(); });
    }
    if (unfit_) return;
    if (stopped_)
      throw Error(ErrorCode::kInterrupted, "interrupted while the screen was made; run the same command again");
  }

  bool rows_fit() const noexcept { return !unfit_; }

  void finish() {
    out_.end_section(std::move(prefixes_));
    out_.end_section(std::move(residuals_));
    out_.end_section(std::move(norms_));
    storage::SectionWriter directions = out_.begin_section(SectionKind::kBasis);
    directions.append_values(
        std::span<const float>(basis_.directions.as<float>(), basis_.prefix_dims * basis_.columns));
    out_.end_section(std::move(directions));
    storage::ScreenBody body{};
    body.rows = matrix_.rows();
    body.columns = basis_.columns;
    body.prefix_dims = basis_.prefix_dims;
    body.matrix_identity = matrix_.identity();
    body.basis_xxh3 = basis_.xxh3();
    body.basis_error = basis_.error;
    body.smallest_norm = smallest_norm_;
    body.largest_norm = largest_norm_;
    out_.finish(std::as_bytes(std::span(&body, 1)));
  }

 private:
  void run_pipeline() {
    namespace tbb = oneapi::tbb;
    tbb::parallel_pipeline(
        pieces_.size(),
        tbb::make_filter<void, Piece*>(tbb::filter_mode::serial_in_order, [&](tbb::flow_control& control) {
          Piece* piece = next_piece();
          if (piece == nullptr) control.stop();
          return piece;
        }) & tbb::make_filter<Piece*, Piece*>(tbb::filter_mode::parallel, [&](Piece* piece) {
          project(*piece);
          return piece;
        }) & tbb::make_filter<Piece*, void>(tbb::filter_mode::serial_in_order, [&](Piece* piece) { write(*piece); }));
  }

  std::uint64_t prefixes_end() {
    section_end_ = storage::kHeaderBytes +
                   round_up(matrix_.rows() * basis_.prefix_dims * sizeof(float), storage::kSectionAlignment);
    return section_end_;
  }
  storage::SectionWriter section_after(SectionKind kind, std::uint64_t offset, std::uint64_t row_bytes) {
    section_end_ = offset + round_up(matrix_.rows() * row_bytes, storage::kSectionAlignment);
    return out_.begin_section_at(kind, offset);
  }

  Piece* next_piece() {
    if (options_.stop != nullptr && options_.stop->load(std::memory_order_relaxed)) stopped_ = true;
    if (stopped_ || unfit_ || next_row_ == matrix_.rows()) return nullptr;
    // Pieces leave in order and at most pieces_.size() are in flight, so this one is free.
    Piece& piece = pieces_[pieces_begun_++ % pieces_.size()];
    piece.first = next_row_;
    piece.count = std::min(kPieceRows, matrix_.rows() - next_row_);
    next_row_ += piece.count;
    rows_.prefetch(next_row_, std::min(8 * kPieceRows, matrix_.rows() - next_row_));
    return &piece;
  }

  void project(Piece& piece) {
    DenseRows::Window window = rows_.window(piece.first, piece.count);
    window.load(0, piece.count);
    const std::uint64_t at_once = projection_.rows_at_once();
    for (std::uint64_t done = 0; done < piece.count; done += at_once) {
      const auto count = static_cast<std::uint32_t>(std::min(at_once, piece.count - done));
      for (std::uint32_t r = 0; r < count; ++r)
        window.decode_stored(done + r, piece.values.as<float>() + r * basis_.columns);
      projection_.project(
          piece.values.as<float>(), count, piece.scratch, piece.prefixes.as<float>() + done * basis_.prefix_dims,
          piece.residuals.as<float>() + done * (basis_.prefix_dims / kScreenStep), piece.norms.as<double>() + done);
    }
    window.close();
  }

  void write(const Piece& piece) {
    const std::span norms(piece.norms.as<double>(), piece.count);
    prefixes_.append_values(std::span<const float>(piece.prefixes.as<float>(), piece.count * basis_.prefix_dims));
    residuals_.append_values(
        std::span<const float>(piece.residuals.as<float>(), piece.count * (basis_.prefix_dims / kScreenStep)));
    norms_.append_values(std::span<const double>(norms));
    for (const double norm : norms) {
      if (norm == 0.0) continue;
      if (!ScreenMargin::fits(norm)) unfit_ = true;
      smallest_norm_ = smallest_norm_ == 0.0 ? norm : std::min(smallest_norm_, norm);
      largest_norm_ = std::max(largest_norm_, norm);
    }
  }

  const storage::MatrixFile& matrix_;
  DenseRows& rows_;
  const Basis& basis_;
  const BuildOptions& options_;
  Projection projection_;
  storage::ContainerWriter out_;
  std::uint64_t section_end_ = 0;
  storage::SectionWriter prefixes_;
  storage::SectionWriter residuals_;
  storage::SectionWriter norms_;
  std::deque<Piece> pieces_;
  std::uint64_t pieces_begun_ = 0;
  std::uint64_t next_row_ = 0;
  bool stopped_ = false;
  std::atomic<bool> unfit_{false};  // told by the last stage, asked by the first
  double smallest_norm_ = 0.0;
  double largest_norm_ = 0.0;
};

}  // namespace

bool build_screen(PageBudget& budget, const kernels::TileKernel& kernel, const storage::MatrixFile& matrix,
                  DenseRows& rows, const Basis& basis, const std::string& path, const BuildOptions& options) {
  Builder builder(budget, kernel, matrix, rows, basis, path, options);
  builder.run();
  if (!builder.rows_fit()) return false;
  builder.finish();
  return true;
}

std::uint64_t build_bytes(const kernels::TileKernel& kernel, std::uint64_t prefix_dims, std::uint64_t columns,
                          std::uint64_t row_bytes, std::uint32_t threads) noexcept {
  const std::uint64_t piece = kernel.query_width * (columns + kBlockDims + 3 * prefix_dims) * sizeof(float) +
                              kPieceRows * (prefix_dims * 5 + sizeof(double)) + 5 * os::kPageBytes +
                              LeasedSection::lease_cost_bytes(kPieceRows * row_bytes) +
                              3 * LeasedSection::lease_cost_bytes(kPieceRows * sizeof(double));
  return Projection::cost_bytes(kernel, prefix_dims, columns) + (threads + 2) * piece;
}

}  // namespace simtile::screen
