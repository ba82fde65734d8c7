#include "engine/formats/hdf5_library.h"

#include <dlfcn.h>

#include "simtile/error.h"

namespace simtile::formats {
namespace {

[[noreturn]] void refuse_library(const std::string& why) {
  throw Error(ErrorCode::kInvalidArgument,
              "HDF5 files cannot be imported here: " + why + "; install that libhdf5, or convert the file to .npy");
}

void* find(void* handle, const char* symbol) {
  void* address = ::dlsym(handle, symbol);
  if (address == nullptr) refuse_library(std::string(SIMTILE_HDF5_LIBRARY) + " has no " + symbol);
  return address;
}

Hdf5Library load() {
  Hdf5Library library;
  library.handle = ::dlopen(SIMTILE_HDF5_LIBRARY, RTLD_NOW | RTLD_LOCAL);
  if (library.handle == nullptr) refuse_library(::dlerror());
#define SIMTILE_HDF5_FIND(name) library.name = reinterpret_cast<decltype(library.name)>(find(library.handle, #name));
  SIMTILE_HDF5_FUNCTIONS(SIMTILE_HDF5_FIND)
#undef SIMTILE_HDF5_FIND
  return library;
}

}  // namespace

const Hdf5Library& hdf5() {
  static const Hdf5Library library = load();
  return library;
}

}  // namespace simtile::formats
