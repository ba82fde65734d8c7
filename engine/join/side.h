// One side of a job: a matrix file with its rows ready to be leased, dense or sparse.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "engine/memory/dense_rows.h"
#include "engine/memory/lease.h"
#include "engine/memory/sparse_rows.h"
#include "engine/plan/tile_plan.h"
#include "engine/screen/screen_rows.h"
#include "engine/storage/matrix_file.h"

namespace simtile::join {

struct Side {
  storage::MatrixFile matrix;
  std::optional<DenseRows> dense;
  std::optional<SparseRows> sparse;
  std::unique_ptr<screen::ScreenRows> screen;      // dense, where one is in use
  std::vector<std::unique_ptr<Side>> more_fields;  // of a job on several; this one is the first

  explicit Side(storage::MatrixFile file) : matrix(std::move(file)) {}
  Side(const Side&) = delete;
  Side& operator=(const Side&) = delete;

  Side& field(std::size_t number) noexcept { return number == 0 ? *this : *more_fields[number - 1]; }

  // Reads the checksum table, after which rows can be leased.
  void open_rows(PageBudget& budget, bool unit_norm) {
    auto checksums = std::make_shared<const std::vector<std::uint64_t>>(matrix.container().load_checksums());
    if (matrix.is_sparse())
      sparse.emplace(matrix, std::move(checksums), budget, unit_norm);
    else
      dense.emplace(matrix, std::move(checksums), budget, unit_norm);
    for (const auto& field : more_fields) field->open_rows(budget, unit_norm);
  }
  std::uint64_t loaded_bytes() const noexcept {
    std::uint64_t bytes = (dense ? dense->loaded_bytes() : 0) + (sparse ? sparse->loaded_bytes() : 0) +
                          (screen ? screen->loaded_bytes() : 0);
    for (const auto& field : more_fields) bytes += field->loaded_bytes();
    return bytes;
  }
  // Of all fields' matrices.
  std::uint64_t file_bytes() const noexcept {
    std::uint64_t bytes = matrix.container().header().file_bytes;
    for (const auto& field : more_fields) bytes += field->file_bytes();
    return bytes;
  }
  // Of what tiles stream: the screen's rows, where one is in use.
  void prefetch(std::uint64_t first_row, std::uint64_t rows) noexcept {
    if (screen) return screen->prefetch(first_row, rows);
    if (dense) dense->prefetch(first_row, rows);
    if (sparse) sparse->prefetch(first_row, rows);
    for (const auto& field : more_fields) field->prefetch(first_row, rows);
  }
};

// A window of either kind; the other is empty. Of a side that is scored by fields, nothing is leased yet: whoever
// scores leases one field after the other.
struct SideWindow {
  Side* fields = nullptr;
  std::optional<screen::ScreenRows::Window> screen;
  std::optional<DenseRows::Window> dense;
  std::optional<SparseRows::Window> sparse;

  // Once the rows have been read: Lease::close().
  void close() {
    if (screen) screen->close();
    if (dense) dense->close();
    if (sparse) sparse->close();
  }
};

inline SideWindow lease_window(Side& side, std::uint64_t first_row, std::uint64_t rows) {
  SideWindow window;
  if (side.screen) window.screen = side.screen->window(first_row, rows);
  if (side.dense)
    window.dense = side.dense->window(first_row, rows);
  else
    window.sparse = side.sparse->window(first_row, rows);
  return window;
}

// What the plan needs to know of a side's rows.
plan::RowShape row_shape(const storage::MatrixFile& matrix, Metric metric);

}  // namespace simtile::join
