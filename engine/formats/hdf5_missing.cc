// Takes the place of hdf5.cc in a build without libhdf5.
#include "engine/formats/sources.h"
#include "simtile/error.h"

namespace simtile::formats {

std::unique_ptr<RowSource> open_hdf5(const SourceRequest& request) {
  throw Error(ErrorCode::kInvalidArgument, "'" + request.path +
                                               "' cannot be imported: this simtile was built without " +
                                               "HDF5; install libhdf5-dev and build it again, or convert it to .npy");
}

}  // namespace simtile::formats
