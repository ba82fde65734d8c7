// Neighbours files: facts, ids, and rows as arrays.
#include <pybind11/stl.h>

#include "simtile/error.h"
#include "simtile/neighbours.h"
#include "tools/python/bindings.h"
#include "tools/python/open_options.h"

namespace py = pybind11;

namespace simtile::python {
namespace {

py::dict info_of(const Neighbours& neighbours) {
  const NeighboursInfo info = neighbours.info();
  py::dict facts;
  facts["rows"] = info.rows;
  facts["top_k"] = info.top_k;
  facts["base_rows"] = info.base_rows;
  facts["columns"] = info.columns;
  facts["metric"] = std::string(to_string(info.metric));
  facts["self_join"] = info.self_join;
  facts["min_score"] = info.min_score ? py::object(py::float_(*info.min_score)) : py::object(py::none());
  facts["query_ids"] = info.query_id_kind;
  facts["base_ids"] = info.base_id_kind;
  facts["file_bytes"] = info.file_bytes;
  facts["identity"] = info.identity;
  return facts;
}

// As stored, -1 and NaN where a row has fewer: the file's 2^64 - 1 is -1 in 64 bits.
py::tuple read_rows(const Neighbours& neighbours, std::uint64_t first, std::uint64_t count) {
  const std::uint64_t top_k = neighbours.info().top_k;
  const std::vector<py::ssize_t> shape{static_cast<py::ssize_t>(count), static_cast<py::ssize_t>(top_k)};
  py::array_t<std::int64_t> rows(shape);
  py::array_t<float> scores(shape);
  auto* row_data = reinterpret_cast<std::uint64_t*>(rows.mutable_data());
  float* score_data = scores.mutable_data();
  {
    const py::gil_scoped_release unlocked;
    const auto entries = static_cast<std::size_t>(count * top_k);
    neighbours.read_rows(first, count, {row_data, entries}, {score_data, entries});
  }
  return py::make_tuple(std::move(rows), std::move(scores));
}

}  // namespace

void bind_neighbours(py::module_& module) {
  py::class_<Neighbours>(module, "Neighbours")
      .def(py::init([](const std::string& path, const std::string& mode) {
             const py::gil_scoped_release unlocked;
             return std::make_unique<Neighbours>(path, open_options(mode));
           }),
           py::arg("path"), py::arg("mode"))
      .def("info", info_of)
      .def("read_rows", read_rows, py::arg("first"), py::arg("count"))
      .def("query_id", &Neighbours::query_id, py::arg("row"))
      .def("base_id", &Neighbours::base_id, py::arg("row"))
      .def(
          "find", [](const Neighbours& file, const std::string& id) { return file.find(id); }, py::arg("id"))
      .def("reload", &Neighbours::reload, py::call_guard<py::gil_scoped_release>())
      .def("generation", &Neighbours::generation);
}

}  // namespace simtile::python
