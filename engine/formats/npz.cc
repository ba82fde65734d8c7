// NumPy archives: a zip of .npy members, one of which is the matrix; or scipy's save_npz of a CSR matrix, whose members
// indptr, indices and data are read side by side (csr_source.h).
#include <algorithm>

#include "engine/base/checked.h"
#include "engine/formats/csr_source.h"
#include "engine/formats/dense_source.h"
#include "engine/formats/excerpt.h"
#include "engine/formats/npy_header.h"
#include "engine/formats/refuse.h"
#include "engine/formats/sources.h"
#include "engine/formats/zip_stream.h"

namespace simtile::formats {
namespace {

constexpr std::string_view kSuffix = ".npy";

const ZipMember* find_member(const ZipArchive& archive, const std::string& array) {
  const std::vector<ZipMember>& members = archive.members();
  const auto found = std::find_if(members.begin(), members.end(), [&](const ZipMember& member) {
    return member.name == array || member.name == array + std::string(kSuffix);
  });
  return found == members.end() ? nullptr : &*found;
}

// A member whose header has been read: the stream stands at the first element.
struct Array {
  NpyHeader header;
  std::unique_ptr<ByteStream> stream;
  std::uint64_t payload_bytes = 0;
};

Array open_array(const ZipArchive& archive, const ZipMember& member) {
  Array array;
  array.stream = archive.open(member);
  array.header = read_npy_header(*array.stream);
  if (member.bytes < array.stream->offset()) refuse(array.stream->name(), "ends within its header");
  array.payload_bytes = member.bytes - array.stream->offset();
  return array;
}

Array open_array(const ZipArchive& archive, const std::string& name) {
  const ZipMember* member = find_member(archive, name);
  if (member == nullptr) refuse(archive.path(), "is a sparse matrix without its member '" + name + "'; save it again");
  return open_array(archive, *member);
}

void check_payload(const Array& array, std::uint64_t wanted_bytes) {
  if (array.payload_bytes != wanted_bytes)
    refuse(array.stream->name(), "has " + std::to_string(array.payload_bytes) + " bytes after its header, but its " +
                                     "shape needs " + std::to_string(wanted_bytes) + "; save it again");
}

// The sparse format's word: b'csr', or 'csr' in UTF-32 as older scipy wrote it.
std::string read_sparse_format(const ZipArchive& archive) {
  const Array array = open_array(archive, "format");
  constexpr std::uint64_t kMostBytes = 64;
  std::string bytes(static_cast<std::size_t>(std::min(array.payload_bytes, kMostBytes)), '\0');
  array.stream->read_exactly(std::as_writable_bytes(std::span(bytes)));
  std::erase(bytes, '\0');
  return bytes;
}

NumberStream number_stream(Array array) {
  const std::string name = array.stream->name();
  const NumericType type = npy_numeric_type(array.header, name);
  if (array.header.shape.size() != 1) refuse(name, "is not one-dimensional, as a part of a sparse matrix must be");
  const std::uint64_t count = array.header.shape[0];
  check_payload(array, checked_multiply(count, numeric_bytes(type), ErrorCode::kCorrupt, "the size of '" + name + "'"));
  return NumberStream(std::move(array.stream), type, count);
}

std::unique_ptr<RowSource> open_csr(const ZipArchive& archive) {
  const std::string& path = archive.path();
  const std::string format = read_sparse_format(archive);
  if (format != "csr")
    refuse(path, "is a sparse matrix in the format '" + excerpt(format) + "'; save matrix.tocsr() instead");
  NumberStream shape = number_stream(open_array(archive, "shape"));
  if (shape.count() != 2) refuse(path, "is a sparse array of " + std::to_string(shape.count()) + " dimensions, not 2");
  std::uint64_t extents[2];
  shape.read_counts(extents);
  return make_csr_source(path, extents[0], extents[1],
                         {.row_starts = number_stream(open_array(archive, "indptr")),
                          .columns = number_stream(open_array(archive, "indices")),
                          .values = number_stream(open_array(archive, "data"))});
}

std::string array_name(const std::string& member) { return member.substr(0, member.size() - kSuffix.size()); }

// The two-dimensional arrays, or the one that the user names, whatever it is: its own message says what is wrong.
std::vector<std::string> candidates(const ZipArchive& archive, const std::string& wanted) {
  std::vector<std::string> names;
  for (const ZipMember& member : archive.members()) {
    if (!member.name.ends_with(kSuffix)) continue;
    const std::string name = array_name(member.name);
    if (name == wanted || open_array(archive, member).header.shape.size() == 2) names.push_back(name);
  }
  return names;
}

}  // namespace

std::unique_ptr<RowSource> open_npz(const SourceRequest& request) {
  const ZipArchive archive(request.path);
  const std::string& wanted = request.options.dataset;
  if (wanted.empty() && find_member(archive, "format") != nullptr && find_member(archive, "shape") != nullptr)
    return open_csr(archive);
  const std::string name = choose_dataset(candidates(archive, wanted), wanted, request.path, "member");
  Array array = open_array(archive, name);
  const DenseLayout layout = npy_matrix_layout(array.header, array.stream->name());
  check_payload(array, dense_bytes(layout, array.stream->name()));
  return make_dense_source(std::move(array.stream), layout);
}

}  // namespace simtile::formats
