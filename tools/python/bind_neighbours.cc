// Neighbours files: facts, ids, and rows as arrays.
#include <pybind11/stl.h>

#include "simtile/error.h"
#include "simtile/neighbours.h"
#include "tools/python/bindings.h"
#include "tools/python/open_options.h"

namespace py = pybind11;

namespace simtile::python {
namespace {

py::dict neighbours_info(const Neighbours& neighbours) {
  const NeighboursInfo info = neighbours.info();
  py::dict facts;
  facts["rows"] = info.rows;
  facts["top_k"] = info.top_k;
  facts["entries"] = info.entries;
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
py::tuple neighbours_of_rows(const Neighbours& neighbours, std::uint64_t first, std::uint64_t count) {
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

// One row's, as many as there are: of a top K and of all pairs alike.
py::tuple neighbours_of_row(const Neighbours& neighbours, std::uint64_t row) {
  std::vector<Neighbour> found;
  {
    const py::gil_scoped_release unlocked;
    found = neighbours.neighbours(row);
  }
  py::array_t<std::int64_t> rows(static_cast<py::ssize_t>(found.size()));
  py::array_t<float> scores(static_cast<py::ssize_t>(found.size()));
  for (std::size_t i = 0; i < found.size(); ++i) {
    rows.mutable_data()[i] = static_cast<std::int64_t>(found[i].row);
    scores.mutable_data()[i] = found[i].score;
  }
  return py::make_tuple(std::move(rows), std::move(scores));
}

// All pairs, row after row: where each row's begin and the last one's end, base rows and scores. They go to their
// arrays one row at a time, so that nothing is held twice.
py::tuple read_pairs(const Neighbours& neighbours) {
  const Neighbours now = neighbours.snapshot();
  const NeighboursInfo info = now.info();
  py::array_t<std::int64_t> starts(static_cast<py::ssize_t>(info.rows + 1));
  py::array_t<std::int64_t> rows(static_cast<py::ssize_t>(info.entries));
  py::array_t<float> scores(static_cast<py::ssize_t>(info.entries));
  std::int64_t* start_data = starts.mutable_data();
  std::int64_t* row_data = rows.mutable_data();
  float* score_data = scores.mutable_data();
  std::uint64_t filled = 0;
  {
    const py::gil_scoped_release unlocked;
    for (std::uint64_t row = 0; row < info.rows; ++row) {
      start_data[row] = static_cast<std::int64_t>(filled);
      for (const Neighbour& neighbour : now.neighbours(row)) {
        if (filled == info.entries)
          throw Error(ErrorCode::kCorrupt, "a neighbours file has more pairs than it says; run the join again");
        row_data[filled] = static_cast<std::int64_t>(neighbour.row);
        score_data[filled++] = neighbour.score;
      }
    }
    start_data[info.rows] = static_cast<std::int64_t>(filled);
  }
  const py::slice held(0, static_cast<py::ssize_t>(filled), 1);
  return py::make_tuple(std::move(starts), rows[held], scores[held]);
}

}  // namespace

void bind_neighbours(py::module_& module) {
  py::class_<Neighbours>(module, "Neighbours")
      .def(py::init([](const std::string& path, const std::string& mode) {
             const py::gil_scoped_release unlocked;
             return std::make_unique<Neighbours>(path, open_options(mode));
           }),
           py::arg("path"), py::arg("mode"))
      .def("info", neighbours_info)
      .def("read_rows", neighbours_of_rows, py::arg("first"), py::arg("count"))
      .def("read_row", neighbours_of_row, py::arg("row"))
      .def("read_pairs", read_pairs)
      .def("query_id", &Neighbours::query_id, py::arg("row"))
      .def("base_id", &Neighbours::base_id, py::arg("row"))
      .def(
          "find", [](const Neighbours& file, const std::string& id) { return file.find(id); }, py::arg("id"))
      .def("reload", &Neighbours::reload, py::call_guard<py::gil_scoped_release>())
      .def("generation", &Neighbours::generation);
}

}  // namespace simtile::python
