// The C ABI's readers: matrix files and neighbours files.
#include <algorithm>
#include <vector>

#include "engine/base/checked.h"
#include "engine/c_api/guarded.h"
#include "simtile/matrix.h"
#include "simtile/neighbours.h"

struct simtile_matrix {
  simtile::Matrix file;
};

struct simtile_neighbours {
  simtile::Neighbours file;
};

namespace simtile::c_api {
namespace {

template <typename Handle>
simtile_status open(const char* path, Handle** handle) {
  return guarded([&] {
    require(path != nullptr && handle != nullptr, "the path to open, or the place for its handle, is NULL");
    *handle = new Handle{decltype(Handle::file)(path)};
  });
}

template <typename File>
simtile_status find(const File& file, const char* id, std::uint64_t* row) {
  return guarded([&] {
    require(id != nullptr && row != nullptr, "the id to find, or the place for its row, is NULL");
    *row = file.find(id).value_or(kNoRow);
  });
}

void check_handle(const void* handle) { require(handle != nullptr, "the handle is NULL"); }

}  // namespace
}  // namespace simtile::c_api

using namespace simtile::c_api;

simtile_status simtile_matrix_open(const char* path, simtile_matrix** matrix) { return open(path, matrix); }

void simtile_matrix_close(simtile_matrix* matrix) { delete matrix; }

simtile_status simtile_matrix_get_info(const simtile_matrix* matrix, simtile_matrix_info* info) {
  return guarded([&] {
    check_handle(matrix);
    require(info != nullptr, "the place for the info is NULL");
    const simtile::MatrixInfo& found = matrix->file.info();
    simtile_matrix_info value{};
    value.rows = found.rows;
    value.columns = found.columns;
    value.nonzeros = found.nonzeros;
    value.file_bytes = found.file_bytes;
    value.identity = found.identity;
    value.element_type = static_cast<std::uint32_t>(found.element_type);
    value.is_sparse = found.sparse;
    value.is_normalized = found.normalized;
    fill(info, value);
  });
}

simtile_status simtile_matrix_read_row(const simtile_matrix* matrix, uint64_t row, float* values) {
  return guarded([&] {
    check_handle(matrix);
    require(values != nullptr, "the place for the values is NULL");
    matrix->file.read_row(row, {values, static_cast<std::size_t>(matrix->file.columns())});
  });
}

simtile_status simtile_matrix_id(const simtile_matrix* matrix, uint64_t row, char* buffer, size_t capacity,
                                 size_t* length) {
  return guarded([&] {
    check_handle(matrix);
    copy_text(matrix->file.id(row), buffer, capacity, length);
  });
}

simtile_status simtile_matrix_find(const simtile_matrix* matrix, const char* id, uint64_t* row) {
  if (matrix == nullptr) return fail(SIMTILE_INVALID_ARGUMENT, "the handle is NULL");
  return find(matrix->file, id, row);
}

simtile_status simtile_neighbours_open(const char* path, simtile_neighbours** neighbours) {
  return open(path, neighbours);
}

void simtile_neighbours_close(simtile_neighbours* neighbours) { delete neighbours; }

simtile_status simtile_neighbours_get_info(const simtile_neighbours* neighbours, simtile_neighbours_info* info) {
  return guarded([&] {
    check_handle(neighbours);
    require(info != nullptr, "the place for the info is NULL");
    const simtile::NeighboursInfo& found = neighbours->file.info();
    simtile_neighbours_info value{};
    value.rows = found.rows;
    value.top_k = found.top_k;
    value.base_rows = found.base_rows;
    value.columns = found.columns;
    value.file_bytes = found.file_bytes;
    value.identity = found.identity;
    value.metric = static_cast<std::uint32_t>(found.metric);
    value.is_self_join = found.self_join;
    fill(info, value);
  });
}

simtile_status simtile_neighbours_read(const simtile_neighbours* neighbours, uint64_t first_row, uint64_t count,
                                       uint64_t* rows, float* scores) {
  return guarded([&] {
    check_handle(neighbours);
    require(count == 0 || (rows != nullptr && scores != nullptr), "the place for the rows or the scores is NULL");
    const auto entries = static_cast<std::size_t>(
        simtile::checked_multiply(count, neighbours->file.info().top_k, simtile::ErrorCode::kInvalidArgument, "count"));
    neighbours->file.read_rows(first_row, count, {rows, entries}, {scores, entries});
  });
}

simtile_status simtile_neighbours_row(const simtile_neighbours* neighbours, uint64_t row, uint64_t* rows, float* scores,
                                      uint64_t capacity, uint64_t* count) {
  return guarded([&] {
    check_handle(neighbours);
    require(count != nullptr, "the place for the count is NULL");
    require(capacity == 0 || (rows != nullptr && scores != nullptr), "the place for the rows or the scores is NULL");
    const std::vector<simtile::Neighbour> found = neighbours->file.neighbours(row);
    for (std::uint64_t i = 0; i < std::min<std::uint64_t>(capacity, found.size()); ++i) {
      rows[i] = found[i].row;
      scores[i] = found[i].score;
    }
    *count = found.size();
  });
}

simtile_status simtile_neighbours_query_id(const simtile_neighbours* neighbours, uint64_t row, char* buffer,
                                           size_t capacity, size_t* length) {
  return guarded([&] {
    check_handle(neighbours);
    copy_text(neighbours->file.query_id(row), buffer, capacity, length);
  });
}

simtile_status simtile_neighbours_base_id(const simtile_neighbours* neighbours, uint64_t row, char* buffer,
                                          size_t capacity, size_t* length) {
  return guarded([&] {
    check_handle(neighbours);
    copy_text(neighbours->file.base_id(row), buffer, capacity, length);
  });
}

simtile_status simtile_neighbours_find(const simtile_neighbours* neighbours, const char* id, uint64_t* row) {
  if (neighbours == nullptr) return fail(SIMTILE_INVALID_ARGUMENT, "the handle is NULL");
  return find(neighbours->file, id, row);
}
