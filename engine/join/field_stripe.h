// A stripe's query rows of a job on fields (plan::Shapes::fields): of dense fields as panels (kernels/tile_kernel.h),
// or all that a first look needs (rounded_rows.h), of sparse ones row by row, their columns renumbered.
//
// The columns that a stripe's rows hold between them are numbered in ascending order: its *local columns*. They are few
// beside a hashed vocabulary's million, so that a tile's postings can be indexed by them, and what the tile holds in
// other columns is dropped at once.
//
// Threads: pack() from one thread; afterwards read by all.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "engine/join/rounded_rows.h"
#include "engine/join/side.h"
#include "engine/kernels/tile_kernel.h"
#include "engine/memory/lease.h"
#include "engine/plan/tile_plan.h"

namespace simtile::join {

class FieldStripe {
 public:
  FieldStripe(PageBudget& budget, const plan::Shapes& shapes, const plan::TilePlan& plan,
              const kernels::TileKernel& kernel, const kernels::ScreenKernel& screen_kernel);

  // Packs query rows [begin, end) over whatever was packed before.
  void pack(Side& queries, std::uint64_t begin, std::uint64_t end);

  // Dense field, with a first look: all that is made of the rows.
  const RoundedRows& rounded(std::size_t field) const noexcept { return *fields_[field].rounded; }
  // Dense field, without: the panel that starts with the stripe's row panel * query_width.
  const float* panel(std::size_t field, std::uint64_t panel) const noexcept {
    return fields_[field].panels.as<float>() + panel * panel_width_ * shapes_->fields[field].dims;
  }

  // Sparse field: a row, counted from the stripe's first, by its local columns.
  struct Row {
    const std::uint32_t* columns;
    const float* values;
    std::size_t count;
  };
  Row row(std::size_t field, std::uint64_t stripe_row) const noexcept {
    const auto* ends = fields_[field].ends.as<std::uint32_t>();
    const std::uint32_t start = ends[stripe_row];
    return {fields_[field].columns.as<std::uint32_t>() + start, fields_[field].values.as<float>() + start,
            ends[stripe_row + 1] - start};
  }
  static constexpr std::uint32_t kNoLocalColumn = 0xffffffffu;
  // Sparse field: for each of its columns the local one, or kNoLocalColumn.
  const std::uint32_t* local_columns(std::size_t field) const noexcept {
    return fields_[field].numbers.as<std::uint32_t>();
  }
  std::uint32_t local_column_count(std::size_t field) const noexcept { return fields_[field].local_columns; }

  // Where sums are renormalised: bit f says that the row has field f.
  std::uint32_t present(std::uint64_t stripe_row) const noexcept { return present_.as<std::uint32_t>()[stripe_row]; }

 private:
  struct Field {
    BudgetedMemory panels, scratch;                 // dense
    std::optional<RoundedRows> rounded;             // dense, with a first look: instead of panels
    BudgetedMemory values, columns, ends, numbers;  // sparse
    std::uint32_t local_columns = 0;
  };
  void pack_dense(std::size_t field, DenseRows& rows, std::uint64_t begin, std::uint64_t end);
  void take_rows(std::size_t field, const DenseRows::Window& window, std::uint64_t at, std::uint64_t rows);
  void pack_sparse(std::size_t field, SparseRows& rows, std::uint64_t begin, std::uint64_t end);
  static void renumber_columns(Field& field, std::uint64_t dims, std::uint32_t used);

  const plan::Shapes* shapes_;  // outlives the stripe
  std::uint32_t panel_width_;
  kernels::PackPanel pack_panel_;
  std::uint64_t rows_at_once_;
  std::vector<Field> fields_;
  BudgetedMemory present_;
};

// Marks, with the bit, those of the window's rows that hold anything but zeros.
void mark_present(const DenseRows::Window& window, std::uint64_t rows, std::uint64_t dims, float* scratch,
                  std::uint32_t bit, std::uint32_t* present) noexcept;
void mark_present(const SparseRows::Window& window, std::uint64_t rows, std::uint32_t bit,
                  std::uint32_t* present) noexcept;

}  // namespace simtile::join
