// The compiled half of the Python package: one function for each part of it. What people call is Python, in
// simtile/*.py, with the docstrings; this half does what needs the engine.
//
// The interpreter's lock is given up wherever the engine works or waits.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

namespace simtile::python {

void bind_errors(pybind11::module_& module);
void bind_writer(pybind11::module_& module);
void bind_matrix(pybind11::module_& module);
void bind_neighbours(pybind11::module_& module);
void bind_searcher(pybind11::module_& module);
void bind_jobs(pybind11::module_& module);

}  // namespace simtile::python
