// NumPy array files.
#include "engine/base/checked.h"
#include "engine/formats/dense_source.h"
#include "engine/formats/npy_header.h"
#include "engine/formats/sources.h"
#include "simtile/error.h"

namespace simtile::formats {

std::unique_ptr<RowSource> open_npy(const SourceRequest& request) {
  os::File file = os::File::open_for_reading(request.path);
  const std::uint64_t file_bytes = file.size();
  auto stream = std::make_unique<FileStream>(std::move(file));
  const NpyHeader header = read_npy_header(*stream);
  const DenseLayout layout = npy_matrix_layout(header, request.path);
  const std::uint64_t bytes = dense_bytes(layout, request.path);
  if (file_bytes - stream->offset() != bytes)
    throw Error(ErrorCode::kCorrupt, "'" + request.path + "' has " + std::to_string(file_bytes - stream->offset()) +
                                         " bytes after its header at offset " + std::to_string(stream->offset()) +
                                         ", but " + std::to_string(layout.rows) + " x " +
                                         std::to_string(layout.columns) + " of '" + header.descr + "' need " +
                                         std::to_string(bytes) + "; it was cut short or grew: save it again");
  return make_dense_source(std::move(stream), layout);
}

}  // namespace simtile::formats
