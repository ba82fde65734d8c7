#include "engine/kernels/tile_kernel.h"
#include "simtile/byte_size.h"
#include "simtile/error.h"
#include "simtile/verify.h"
#include "tools/python/bindings.h"

namespace py = pybind11;

namespace simtile::python {
namespace {

const char* exception_name(ErrorCode code) {
  switch (code) {
    case ErrorCode::kIo: return "IoError";
    case ErrorCode::kInvalidArgument: return "InvalidArgumentError";
    case ErrorCode::kCorrupt: return "CorruptError";
    case ErrorCode::kBudgetTooSmall: return "BudgetTooSmallError";
    case ErrorCode::kInterrupted: return "InterruptedJobError";
  }
  return "Error";
}

}  // namespace

// simtile::Error becomes the class of simtile/errors.py that goes with its code.
void bind_errors(py::module_&) {
  py::register_exception_translator([](std::exception_ptr thrown) {
    try {
      std::rethrow_exception(thrown);
    } catch (const Error& error) {
      const py::object type = py::module_::import("simtile.errors").attr(exception_name(error.code()));
      PyErr_SetString(type.ptr(), error.what());
    }
  });
}

}  // namespace simtile::python

PYBIND11_MODULE(_simtile, module) {
  using namespace simtile;
  module.attr("version") = SIMTILE_VERSION;
  python::bind_errors(module);
  python::bind_writer(module);
  python::bind_matrix(module);
  python::bind_neighbours(module);
  python::bind_searcher(module);
  python::bind_jobs(module);
  module.def("instruction_set", [] { return std::string(to_string(kernels::select_kernel(Isa::kAuto).isa)); });
  module.def("parse_byte_size", [](const std::string& text) { return parse_byte_size(text); });
  module.def(
      "verify", [](const std::string& path) { verify_file(path); }, py::call_guard<py::gil_scoped_release>());
}
