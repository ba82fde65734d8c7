// libhdf5, loaded when the first HDF5 file is imported. Linked in, it would bring some thirty libraries (curl, TLS,
// Kerberos) and 6 MiB of resident memory into every process, most of which never see an HDF5 file.
//
// Threads: hdf5() may be called from several threads; whether the functions may, is libhdf5's own build option.
#pragma once

#include <hdf5.h>

#include <string>

namespace simtile::formats {

// The functions that hdf5.cc calls. Functions alone: libhdf5 keeps its predefined types in variables, of which a
// program that links it may have a copy of its own.
// clang-format off
#define SIMTILE_HDF5_FUNCTIONS(X)                                                                       \
  X(H5Eset_auto2) X(H5Fopen) X(H5Fclose) X(H5Gget_info) X(H5Lget_name_by_idx)                           \
  X(H5Dopen2) X(H5Dclose) X(H5Dget_type) X(H5Dget_space) X(H5Dget_storage_size) X(H5Dget_create_plist)  \
  X(H5Dget_access_plist) X(H5Dread) X(H5Tclose) X(H5Tget_class) X(H5Tget_size) X(H5Tget_sign) X(H5Tget_native_type)                                 \
  X(H5Sclose) X(H5Sget_simple_extent_ndims) X(H5Sget_simple_extent_dims) X(H5Screate_simple)            \
  X(H5Sselect_hyperslab) X(H5Pclose) X(H5Pget_layout) X(H5Pget_chunk) X(H5Pset_chunk_cache)
// clang-format on

struct Hdf5Library {
#define SIMTILE_HDF5_MEMBER(name) decltype(&::name) name = nullptr;
  SIMTILE_HDF5_FUNCTIONS(SIMTILE_HDF5_MEMBER)
#undef SIMTILE_HDF5_MEMBER
  void* handle = nullptr;
};

// Throws Error(kInvalidArgument) when the library is not installed.
const Hdf5Library& hdf5();

}  // namespace simtile::formats
