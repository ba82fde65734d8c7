// Searches of a mapped matrix.
#include <pybind11/stl.h>

#include <algorithm>
#include <limits>
#include <vector>

#include "simtile/searcher.h"
#include "tools/python/bindings.h"
#include "tools/python/open_options.h"

namespace py = pybind11;

namespace simtile::python {
namespace {

using Queries = py::array_t<float, py::array::c_style>;

std::vector<SearchQuery> queries_of(const Queries& vectors, std::uint64_t top_k, std::optional<float> min_score,
                                    std::span<const std::uint64_t> exclude_rows) {
  const auto columns = static_cast<std::size_t>(vectors.shape(1));
  std::vector<SearchQuery> queries;
  for (py::ssize_t i = 0; i < vectors.shape(0); ++i)
    queries.push_back({{vectors.data(i, 0), columns}, top_k, min_score, exclude_rows});
  return queries;
}

// Calls `search` with the lock given up; its results stay in this thread's room for the next search.
const SearchResults& run(const Searcher& searcher, const std::vector<SearchQuery>& queries, Metric metric) {
  thread_local SearchResults results;
  searcher.search(queries, metric, results);
  return results;
}

py::tuple search(const Searcher& searcher, const Queries& vectors, std::uint64_t top_k, const std::string& metric,
                 std::optional<float> min_score, const py::array_t<std::uint64_t, py::array::c_style>& exclude) {
  const auto queries =
      queries_of(vectors, top_k, min_score, {exclude.data(), static_cast<std::size_t>(exclude.size())});
  const std::vector<py::ssize_t> shape{vectors.shape(0), static_cast<py::ssize_t>(top_k)};
  py::array_t<std::int64_t> rows(shape);
  py::array_t<float> scores(shape);
  std::int64_t* row_data = rows.mutable_data();
  float* score_data = scores.mutable_data();
  {
    const py::gil_scoped_release unlocked;
    const SearchResults& results = run(searcher, queries, parse_metric(metric));
    for (std::size_t query = 0; query < queries.size(); ++query) {
      const std::span<const Neighbour> found = results[query];
      for (std::size_t rank = 0; rank < top_k; ++rank, ++row_data, ++score_data) {
        *row_data = rank < found.size() ? static_cast<std::int64_t>(found[rank].row) : -1;
        *score_data = rank < found.size() ? found[rank].score : std::numeric_limits<float>::quiet_NaN();
      }
    }
  }
  return py::make_tuple(std::move(rows), std::move(scores));
}

// All that is good enough, however much that is: where each query's neighbours end, then all rows and scores.
py::tuple search_within(const Searcher& searcher, const Queries& vectors, const std::string& metric, float min_score) {
  const auto queries = queries_of(vectors, searcher.rows(), min_score, {});
  const SearchResults* results = nullptr;
  {
    const py::gil_scoped_release unlocked;
    results = &run(searcher, queries, parse_metric(metric));
  }
  py::array_t<std::int64_t> ends(vectors.shape(0));
  std::size_t total = 0;
  for (std::size_t query = 0; query < queries.size(); ++query)
    ends.mutable_at(static_cast<py::ssize_t>(query)) = static_cast<std::int64_t>(total += (*results)[query].size());
  py::array_t<std::int64_t> rows(static_cast<py::ssize_t>(total));
  py::array_t<float> scores(static_cast<py::ssize_t>(total));
  std::int64_t* row_data = rows.mutable_data();
  float* score_data = scores.mutable_data();
  for (std::size_t query = 0; query < queries.size(); ++query)
    for (const Neighbour& neighbour : (*results)[query]) {
      *row_data++ = static_cast<std::int64_t>(neighbour.row);
      *score_data++ = neighbour.score;
    }
  return py::make_tuple(std::move(ends), std::move(rows), std::move(scores));
}

}  // namespace

void bind_searcher(py::module_& module) {
  py::class_<Searcher>(module, "Searcher")
      .def(
          py::init([](const std::string& path, const std::string& mode, std::uint32_t threads, const std::string& isa) {
            const py::gil_scoped_release unlocked;
            return std::make_unique<Searcher>(
                path, SearcherOptions{.mode = open_options(mode).mode, .threads = threads, .isa = parse_isa(isa)});
          }),
          py::arg("path"), py::arg("mode"), py::arg("threads"), py::arg("isa"))
      .def("rows", &Searcher::rows)
      .def("columns", &Searcher::columns)
      .def("search", search, py::arg("queries").noconvert(), py::arg("top_k"), py::arg("metric"), py::arg("min_score"),
           py::arg("exclude").noconvert())
      .def("search_within", search_within, py::arg("queries").noconvert(), py::arg("metric"), py::arg("min_score"))
      .def("id", [](const Searcher& searcher, std::uint64_t row) { return searcher.matrix().id(row); })
      .def("reload", &Searcher::reload, py::call_guard<py::gil_scoped_release>())
      .def("generation", &Searcher::generation);
}

}  // namespace simtile::python
