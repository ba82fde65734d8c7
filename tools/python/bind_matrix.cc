// Matrix files: facts, ids, checked rows, and the mapped rows as arrays that share the mapping.
#include <pybind11/stl.h>

#include <memory>

#include "simtile/error.h"
#include "simtile/matrix.h"
#include "tools/python/bindings.h"
#include "tools/python/open_options.h"
#include "tools/python/sparse_rows.h"

namespace py = pybind11;

namespace simtile::python {
namespace {

py::dict matrix_info(const Matrix& matrix) {
  const MatrixInfo info = matrix.info();
  py::dict facts;
  facts["rows"] = info.rows;
  facts["columns"] = info.columns;
  facts["element_type"] = std::string(to_string(info.element_type));
  facts["sparse"] = info.sparse;
  facts["normalized"] = info.normalized;
  facts["nonzeros"] = info.nonzeros;
  facts["ids"] = info.id_kind;
  facts["file_bytes"] = info.file_bytes;
  facts["identity"] = info.identity;
  return facts;
}

py::dtype dtype_of(ElementType type) {
  switch (type) {
    case ElementType::kF32: return py::dtype("f4");
    case ElementType::kF16: return py::dtype("f2");
    case ElementType::kU8: return py::dtype("u1");
    case ElementType::kI8: return py::dtype("i1");
    case ElementType::kBF16: return py::dtype("u2");  // the upper halves of float32
  }
  throw Error(ErrorCode::kInvalidArgument, "an element type that NumPy has no word for");
}

// All rows as they lie in the file, read-only. The array owns a snapshot, which keeps the mapping while the array or a
// slice of it lives.
py::array mapped_rows(const Matrix& matrix) {
  auto snapshot = std::make_unique<Matrix>(matrix.snapshot());
  const MatrixInfo info = snapshot->info();
  const std::span<const std::byte> bytes = snapshot->mapped_rows();
  if (bytes.empty()) throw Error(ErrorCode::kInvalidArgument, "the rows of a sparse matrix are no array");
  const py::capsule owner(snapshot.get(), [](void* held) { delete static_cast<Matrix*>(held); });
  snapshot.release();
  py::array rows(
      dtype_of(info.element_type), {static_cast<py::ssize_t>(info.rows), static_cast<py::ssize_t>(info.columns)},
      {static_cast<py::ssize_t>(info.row_stride_bytes), static_cast<py::ssize_t>(element_bytes(info.element_type))},
      bytes.data(), owner);
  rows.attr("setflags")(py::arg("write") = false);
  return rows;
}

// Decoded copies, each block checked the first time that it is touched.
py::array_t<float> read_rows(const Matrix& matrix, const py::array_t<std::uint64_t, py::array::c_style>& rows) {
  const auto columns = static_cast<std::size_t>(matrix.columns());
  py::array_t<float> out({rows.size(), static_cast<py::ssize_t>(columns)});
  float* values = out.mutable_data();
  const std::span<const std::uint64_t> wanted(rows.data(), static_cast<std::size_t>(rows.size()));
  const py::gil_scoped_release unlocked;
  for (std::size_t i = 0; i < wanted.size(); ++i) matrix.read_row(wanted[i], {values + i * columns, columns});
  return out;
}

// Sparse rows as the arrays of a CSR matrix: starts, columns, values. Checked as read_rows() does.
py::tuple read_csr(const Matrix& matrix, const py::array_t<std::uint64_t, py::array::c_style>& which) {
  const SparseRows rows(matrix);
  const std::span<const std::uint64_t> wanted(which.data(), static_cast<std::size_t>(which.size()));
  py::array_t<std::int64_t> starts(which.size() + 1);
  std::vector<SparseRows::Extent> extents;
  std::uint64_t total = starts.mutable_data()[0] = 0;
  for (const std::uint64_t row : wanted) {
    total += extents.emplace_back(rows.extent(row)).count;
    starts.mutable_data()[extents.size()] = static_cast<std::int64_t>(total);
  }
  py::array_t<std::uint32_t> columns(static_cast<py::ssize_t>(total));
  py::array_t<float> values(static_cast<py::ssize_t>(total));
  std::uint32_t* column_data = columns.mutable_data();
  float* value_data = values.mutable_data();
  {
    const py::gil_scoped_release unlocked;
    for (const SparseRows::Extent& extent : extents) {
      const auto count = static_cast<std::size_t>(extent.count);
      rows.read(extent, {column_data, count}, {value_data, count});
      column_data += count;
      value_data += count;
    }
    rows.check_intact();
  }
  return py::make_tuple(std::move(starts), std::move(columns), std::move(values));
}

}  // namespace

OpenOptions open_options(const std::string& mode) {
  if (mode == "fast") return {.mode = OpenMode::kFast};
  if (mode == "touch") return {.mode = OpenMode::kVerifyOnTouch};
  if (mode == "full") return {.mode = OpenMode::kFull};
  throw Error(ErrorCode::kInvalidArgument, "'" + mode + "' is no way to open a file; choose fast, touch or full");
}

void bind_matrix(py::module_& module) {
  py::class_<Matrix>(module, "Matrix")
      .def(py::init([](const std::string& path, const std::string& mode) {
             const py::gil_scoped_release unlocked;
             return std::make_unique<Matrix>(path, open_options(mode));
           }),
           py::arg("path"), py::arg("mode"))
      .def("info", matrix_info)
      .def("mapped_rows", mapped_rows)
      .def("read_rows", read_rows, py::arg("rows").noconvert())
      .def("read_csr", read_csr, py::arg("rows").noconvert())
      .def("id", &Matrix::id, py::arg("row"))
      .def(
          "find", [](const Matrix& matrix, const std::string& id) { return matrix.find(id); }, py::arg("id"))
      .def("reload", &Matrix::reload, py::call_guard<py::gil_scoped_release>())
      .def("generation", &Matrix::generation);
}

}  // namespace simtile::python
