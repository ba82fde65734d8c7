// What every foreign format gives: its shape, then its rows in batches, front to back. One file a format implements
// it; importer.cc is the one place that pulls rows from a source and pushes them into a MatrixWriter.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "engine/storage/container_layout.h"
#include "simtile/import.h"
#include "simtile/types.h"

namespace simtile::formats {

struct SourceShape {
  std::uint64_t rows = 0;  // 0: not known before the end
  std::uint64_t columns = 0;
  bool sparse = false;
  ElementType natural_type = ElementType::kF32;  // what the source itself holds, or the nearest to it
  storage::IdKind id_kind = storage::IdKind::kNone;
};

// A batch of rows; its vectors are reused from call to call, so a source clears and refills them.
struct RowBatch {
  std::uint64_t rows = 0;
  std::vector<float> values;            // dense: rows x columns; sparse: the non-zeros of all rows
  std::vector<std::uint32_t> columns;   // sparse: ascending within a row
  std::vector<std::uint64_t> row_ends;  // sparse: for each row, the end of its non-zeros in `values`
  std::vector<std::uint64_t> u64_ids;   // when the shape says so
  std::vector<std::string> string_ids;  // when the shape says so

  void clear() {
    rows = 0;
    values.clear();
    columns.clear();
    row_ends.clear();
    u64_ids.clear();
    string_ids.clear();
  }
};

// Bytes of values that a source puts in one batch, about: large enough to amortise a call, small beside any budget.
inline constexpr std::uint64_t kBatchBytes = 1 << 20;

class RowSource {
 public:
  virtual ~RowSource() = default;
  virtual SourceShape shape() const = 0;
  // Replaces the batch with the next rows; false at the end.
  virtual bool read(RowBatch& batch) = 0;
};

}  // namespace simtile::formats
