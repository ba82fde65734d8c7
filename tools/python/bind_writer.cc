// Matrix files from arrays, a piece at a time.
#include "engine/storage/matrix_writer.h"
#include "simtile/error.h"
#include "simtile/import.h"
#include "tools/python/bindings.h"

namespace py = pybind11;

namespace simtile::python {
namespace {

using storage::IdKind;
using storage::MatrixWriter;

// A MatrixWriter that Python can end before it lets go of it: the traceback of an exception keeps the writer alive, and
// with it the lock on the temporary file, for as long as somebody looks at the exception.
class PythonWriter {
 public:
  PythonWriter(const std::string& path, const storage::MatrixWriterOptions& options)
      : writer_(std::make_unique<MatrixWriter>(path, options)) {}
  MatrixWriter& writer() {
    if (!writer_) throw Error(ErrorCode::kInvalidArgument, "the writer was finished or aborted; make another one");
    return *writer_;
  }
  std::uint64_t finish() {
    const std::uint64_t identity = writer().finish();
    writer_.reset();
    return identity;
  }
  // Removes what was written so far; after finish(), nothing.
  void abort() noexcept { writer_.reset(); }

 private:
  std::unique_ptr<MatrixWriter> writer_;
};

template <typename T>
using Array = py::array_t<T, py::array::c_style>;

IdKind id_kind_of(const std::string& word) {
  if (word == "none") return IdKind::kNone;
  return word == "u64" ? IdKind::kU64 : IdKind::kString;
}

void append_dense(PythonWriter& writer, const Array<float>& rows) {
  const std::span<const float> values(rows.data(), static_cast<std::size_t>(rows.size()));
  const py::gil_scoped_release unlocked;
  writer.writer().append_rows(values);
}

// `starts` are positions in `columns` and `values`, one more than there are rows.
void append_sparse(PythonWriter& python_writer, const Array<std::int64_t>& starts, const Array<std::uint32_t>& columns,
                   const Array<float>& values) {
  MatrixWriter& writer = python_writer.writer();
  const auto all_columns = std::span(columns.data(), static_cast<std::size_t>(columns.size()));
  const auto all_values = std::span(values.data(), static_cast<std::size_t>(values.size()));
  const auto bounds = std::span(starts.data(), static_cast<std::size_t>(starts.size()));
  const py::gil_scoped_release unlocked;
  for (std::size_t row = 0; row + 1 < bounds.size(); ++row) {
    const auto begin = static_cast<std::size_t>(bounds[row]), end = static_cast<std::size_t>(bounds[row + 1]);
    if (begin > end || end > all_columns.size() || end > all_values.size())
      throw Error(ErrorCode::kInvalidArgument, "row starts that descend or lie beyond the values");
    writer.append_sparse_row(all_columns.subspan(begin, end - begin), all_values.subspan(begin, end - begin));
  }
}

void append_numbers(PythonWriter& python_writer, const Array<std::uint64_t>& ids) {
  MatrixWriter& writer = python_writer.writer();
  for (py::ssize_t i = 0; i < ids.size(); ++i) writer.append_id(ids.data()[i]);
}

void append_strings(PythonWriter& python_writer, const py::list& ids) {
  MatrixWriter& writer = python_writer.writer();
  for (const py::handle id : ids) {
    Py_ssize_t bytes = 0;
    const char* text = PyUnicode_AsUTF8AndSize(id.ptr(), &bytes);
    if (text == nullptr) throw py::error_already_set();
    writer.append_id(std::string_view(text, static_cast<std::size_t>(bytes)));
  }
}

ImportOptions import_options(const std::string& format, const std::string& dtype, const std::string& ids_path,
                             const std::string& dataset, bool normalize, std::uint64_t text_dims) {
  ImportOptions options;
  options.format = format;
  if (!dtype.empty()) options.element_type = parse_element_type(dtype);
  options.ids_path = ids_path;
  options.dataset = dataset;
  options.normalize = normalize;
  options.text_dims = text_dims;
  return options;
}

}  // namespace

void bind_writer(py::module_& module) {
  py::class_<PythonWriter>(module, "MatrixWriter")
      .def(py::init([](const std::string& path, std::uint64_t columns, const std::string& dtype, bool sparse,
                       const std::string& id_kind, bool normalize, bool integers, bool durable) {
             return std::make_unique<PythonWriter>(
                 path, storage::MatrixWriterOptions{
                           .layout = sparse ? storage::MatrixLayout::kCsr : storage::MatrixLayout::kDense,
                           .element_type = parse_element_type(dtype),
                           .columns = columns,
                           .id_kind = id_kind_of(id_kind),
                           .normalize = normalize,
                           .integers_as_they_are = integers,
                           .source_name = "the array",
                           .durability = durable ? storage::Durability::kSynced : storage::Durability::kTemporary});
           }),
           py::arg("path"), py::arg("columns"), py::arg("dtype"), py::arg("sparse"), py::arg("id_kind"),
           py::arg("normalize"), py::arg("integers"), py::arg("durable"))
      .def("append_dense", append_dense, py::arg("rows").noconvert())
      .def("append_sparse", append_sparse, py::arg("starts").noconvert(), py::arg("columns").noconvert(),
           py::arg("values").noconvert())
      .def("append_numbers", append_numbers, py::arg("ids").noconvert())
      .def("append_strings", append_strings, py::arg("ids"))
      .def("finish", &PythonWriter::finish, py::call_guard<py::gil_scoped_release>())
      .def("__enter__", [](const py::object& writer) { return writer; })
      .def("__exit__", [](PythonWriter& writer, const py::args&) { writer.abort(); });

  module.def(
      "import_file",
      [](const std::string& source, const std::string& destination, const std::string& format, const std::string& dtype,
         const std::string& ids_path, const std::string& dataset, bool normalize, std::uint64_t text_dims) {
        import_matrix(source, destination, import_options(format, dtype, ids_path, dataset, normalize, text_dims));
      },
      py::arg("source"), py::arg("destination"), py::arg("format"), py::arg("dtype"), py::arg("ids_path"),
      py::arg("dataset"), py::arg("normalize"), py::arg("text_dims"), py::call_guard<py::gil_scoped_release>());
}

}  // namespace simtile::python
