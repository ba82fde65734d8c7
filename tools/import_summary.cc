#include "tools/import_summary.h"

#include <fmt/format.h>

#include "simtile/byte_size.h"
#include "simtile/matrix.h"
#include "tools/options.h"

namespace simtile::tools {

std::string summarize(const ImportSummary& imported, const std::string& path) {
  const MatrixInfo info = Matrix(path, kStreamed).info();
  return fmt::format(
      "{}: {} rows x {} columns of {}{}, {}, from {}, {}", path, info.rows, info.columns, to_string(info.element_type),
      info.sparse ? fmt::format(" (sparse, {} non-zeros)", info.nonzeros) : "",
      imported.has_ids ? info.id_kind + " ids" : "no ids", imported.format, format_byte_size(info.file_bytes));
}

}  // namespace simtile::tools
