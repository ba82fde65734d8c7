// The header of a NumPy array file, versions 1 to 3: https://numpy.org/doc/stable/reference/generated/
// numpy.lib.format.html. It is the text of a Python dictionary: dtype, memory order, shape.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/formats/byte_stream.h"
#include "engine/formats/dense_source.h"

namespace simtile::formats {

struct NpyHeader {
  std::string descr;  // dtype, for example "<f4"; "[...]" for a structured one
  bool fortran_order = false;
  std::vector<std::uint64_t> shape;
};

// Reads the header off the front of the stream, which then stands at the first element. Error(kCorrupt) names what is
// wrong and where.
NpyHeader read_npy_header(ByteStream& stream);

// What the array must be to become a matrix: two-dimensional, in C order, of real little-endian numbers. Anything else
// is an Error(kCorrupt) that says which NumPy call mends it.
DenseLayout npy_matrix_layout(const NpyHeader& header, const std::string& name);
NumericType npy_numeric_type(const NpyHeader& header, const std::string& name);

}  // namespace simtile::formats
