// HDF5 as ann-benchmarks and others use it: one two-dimensional dataset of numbers.
//
// libhdf5 opens the file itself, so reads do not go through os.h, and it is not built for threads everywhere: all calls
// are made under one lock. It unpacks whole chunks, so a file with chunks of hundreds of MiB takes that much memory.
#include <algorithm>
#include <mutex>
#include <optional>

#include "engine/formats/dense_source.h"
#include "engine/formats/excerpt.h"
#include "engine/formats/hdf5_library.h"
#include "engine/formats/refuse.h"
#include "engine/formats/sources.h"

namespace simtile::formats {
namespace {

std::recursive_mutex g_hdf5_lock;  // handles close themselves, also while it is held

// A row of chunks is kept unpacked up to this size, so that each is unpacked once. A chunk that spans whole rows is
// kept up to the larger size: unpacking it takes that much anyway.
constexpr std::uint64_t kMaxBandBytes = std::uint64_t{8} << 20;
constexpr std::uint64_t kMaxChunkBytes = std::uint64_t{256} << 20;
// What deflate can make of a byte, rounded up: a file that claims more holds nothing.
constexpr std::uint64_t kMaxCompression = 1100;

constexpr unsigned kReadOnly = 0;  // H5F_ACC_RDONLY without its call into the library

// Any HDF5 object.
class Handle {
 public:
  explicit Handle(hid_t id, herr_t (*close)(hid_t)) : id_(id), close_(close) {}
  Handle(Handle&& other) noexcept : id_(std::exchange(other.id_, -1)), close_(other.close_) {}
  Handle& operator=(Handle&&) = delete;
  ~Handle() {
    const std::lock_guard lock(g_hdf5_lock);
    if (id_ >= 0) close_(id_);
  }
  hid_t get() const noexcept { return id_; }
  bool is_open() const noexcept { return id_ >= 0; }

 private:
  hid_t id_;
  herr_t (*close_)(hid_t);
};

// How a dataset's elements come into memory: in this machine's type for them, which is wider where there is none of
// their size (f16).
struct Elements {
  Handle memory_type;
  NumericType type = NumericType::kF32;
  ElementType natural_type = ElementType::kF32;
};

std::optional<NumericType> find_type(H5T_class_t kind, std::size_t bytes, bool is_signed) {
  if (kind == H5T_FLOAT) {
    if (bytes == 2) return NumericType::kF16;
    if (bytes == 4) return NumericType::kF32;
    if (bytes == 8) return NumericType::kF64;
  } else if (kind == H5T_INTEGER) {
    if (bytes == 1) return is_signed ? NumericType::kI8 : NumericType::kU8;
    if (bytes == 2) return is_signed ? NumericType::kI16 : NumericType::kU16;
    if (bytes == 4) return is_signed ? NumericType::kI32 : NumericType::kU32;
    if (bytes == 8) return is_signed ? NumericType::kI64 : NumericType::kU64;
  }
  return std::nullopt;
}

std::optional<Elements> find_elements(hid_t dataset) {
  const Handle stored(hdf5().H5Dget_type(dataset), hdf5().H5Tclose);
  Handle memory(hdf5().H5Tget_native_type(stored.get(), H5T_DIR_ASCEND), hdf5().H5Tclose);
  const H5T_class_t kind = hdf5().H5Tget_class(stored.get());
  const bool is_signed = kind == H5T_INTEGER && hdf5().H5Tget_sign(memory.get()) == H5T_SGN_2;
  const auto type = find_type(kind, hdf5().H5Tget_size(memory.get()), is_signed);
  if (!type) return std::nullopt;
  const bool is_f16 = kind == H5T_FLOAT && hdf5().H5Tget_size(stored.get()) == 2;
  return Elements{std::move(memory), *type, is_f16 ? ElementType::kF16 : natural_element_type(*type)};
}

Handle open_dataset(hid_t file, const std::string& name, hid_t access = H5P_DEFAULT) {
  return Handle(hdf5().H5Dopen2(file, name.c_str(), access), hdf5().H5Dclose);
}

// True for a dataset of two dimensions, which are then given.
bool find_extents(hid_t dataset, hsize_t (&extents)[2]) {
  const Handle space(hdf5().H5Dget_space(dataset), hdf5().H5Sclose);
  return hdf5().H5Sget_simple_extent_ndims(space.get()) == 2 &&
         hdf5().H5Sget_simple_extent_dims(space.get(), extents, nullptr) == 2;
}

std::vector<std::string> list_matrices(hid_t file) {
  H5G_info_t info{};
  std::vector<std::string> names;
  if (hdf5().H5Gget_info(file, &info) < 0) return names;
  for (hsize_t i = 0; i < info.nlinks; ++i) {
    char name[256];
    const ssize_t length =
        hdf5().H5Lget_name_by_idx(file, ".", H5_INDEX_NAME, H5_ITER_NATIVE, i, name, sizeof name, H5P_DEFAULT);
    if (length <= 0 || static_cast<std::size_t>(length) >= sizeof name) continue;
    const Handle dataset = open_dataset(file, name);
    hsize_t extents[2];
    if (dataset.is_open() && find_extents(dataset.get(), extents)) names.emplace_back(name);
  }
  return names;
}

// The one named, else `train` or `dataset`, else the only one. A path with slashes goes to libhdf5 as it is.
std::string choose(hid_t file, const std::string& path, const std::string& wanted) {
  if (!wanted.empty() && open_dataset(file, wanted).is_open()) return wanted;
  const std::vector<std::string> names = list_matrices(file);
  if (wanted.empty())
    for (const char* usual : {"train", "dataset"})
      if (std::find(names.begin(), names.end(), usual) != names.end()) return usual;
  return choose_dataset(names, wanted, path, "dataset");
}

class Hdf5Source : public RowSource {
 public:
  explicit Hdf5Source(const SourceRequest& request) : path_(request.path) {
    os::File::open_for_reading(path_);  // a missing file is the system's error, not the format's
    const std::lock_guard lock(g_hdf5_lock);
    hdf5().H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
    file_.emplace(hdf5().H5Fopen(path_.c_str(), kReadOnly, H5P_DEFAULT), hdf5().H5Fclose);
    if (!file_->is_open()) refuse(path_, "is not an HDF5 file, or a damaged one");
    name_ = choose(file_->get(), path_, request.options.dataset);
    open(name_);
  }

  SourceShape shape() const override {
    return {.rows = layout_.rows, .columns = layout_.columns, .natural_type = elements_->natural_type};
  }

  bool read(RowBatch& batch) override {
    batch.rows = std::min(rows_per_batch(layout_.columns), layout_.rows - row_);
    batch.values.resize(static_cast<std::size_t>(batch.rows * layout_.columns));
    if (batch.rows == 0) return false;
    if (layout_.type == NumericType::kF32) {
      read_rows(batch.rows, batch.values.data());
    } else {
      raw_.resize(batch.values.size() * numeric_bytes(layout_.type));
      read_rows(batch.rows, raw_.data());
      decode_rows(layout_.type, raw_.data(), row_, layout_.columns, batch.values, path_);
    }
    row_ += batch.rows;
    return true;
  }

 private:
  void open(const std::string& name) {
    const std::string what = "has a dataset '" + excerpt(name) + "' ";
    {
      const Handle dataset = open_dataset(file_->get(), name);
      hsize_t extents[2];
      if (!find_extents(dataset.get(), extents)) refuse(path_, what + "that is not two-dimensional");
      std::optional<Elements> elements = find_elements(dataset.get());
      if (!elements) refuse(path_, what + "whose elements are neither integers nor floats of up to 8 bytes");
      layout_ = {extents[0], extents[1], elements->type};
      elements_.emplace(std::move(*elements));
      const std::uint64_t bytes = dense_bytes(layout_, path_);
      if (hdf5().H5Dget_storage_size(dataset.get()) < bytes / kMaxCompression)
        refuse(path_, what + "of " + std::to_string(layout_.rows) + " x " + std::to_string(layout_.columns) +
                          " elements, most of which were never written");
    }
    open_with_cache(name);
  }

  void open_with_cache(const std::string& name) {
    dataset_.emplace(open_dataset(file_->get(), name));
    const Handle creation(hdf5().H5Dget_create_plist(dataset_->get()), hdf5().H5Pclose);
    hsize_t chunk[2];
    if (hdf5().H5Pget_layout(creation.get()) != H5D_CHUNKED || hdf5().H5Pget_chunk(creation.get(), 2, chunk) != 2)
      return;
    const std::uint64_t most = chunk[1] >= layout_.columns ? kMaxChunkBytes : kMaxBandBytes;
    const std::uint64_t row_bytes = (layout_.columns + chunk[1]) * numeric_bytes(layout_.type);
    if (chunk[0] > most / row_bytes) return;
    const Handle access(hdf5().H5Dget_access_plist(dataset_->get()), hdf5().H5Pclose);
    constexpr std::size_t kSlots = 10007;  // a prime, as libhdf5 advises
    hdf5().H5Pset_chunk_cache(access.get(), kSlots, static_cast<std::size_t>(chunk[0] * row_bytes), 1.0);
    dataset_.emplace(open_dataset(file_->get(), name, access.get()));
  }

  void read_rows(std::uint64_t rows, void* buffer) {
    const std::lock_guard lock(g_hdf5_lock);
    const hsize_t begin[2] = {row_, 0};
    const hsize_t count[2] = {rows, layout_.columns};
    const Handle in_file(hdf5().H5Dget_space(dataset_->get()), hdf5().H5Sclose);
    const Handle in_memory(hdf5().H5Screate_simple(2, count, nullptr), hdf5().H5Sclose);
    if (hdf5().H5Sselect_hyperslab(in_file.get(), H5S_SELECT_SET, begin, nullptr, count, nullptr) < 0 ||
        hdf5().H5Dread(dataset_->get(), elements_->memory_type.get(), in_memory.get(), in_file.get(), H5P_DEFAULT,
                       buffer) < 0)
      refuse(path_, "cannot be read in dataset '" + excerpt(name_) + "', rows " + std::to_string(row_) + " to " +
                        std::to_string(row_ + rows - 1) + "; it was cut short or damaged: make it again");
  }

  std::string path_;
  std::string name_;
  std::optional<Handle> file_;
  std::optional<Handle> dataset_;
  std::optional<Elements> elements_;
  DenseLayout layout_;
  std::uint64_t row_ = 0;
  std::vector<std::byte> raw_;
};

}  // namespace

std::unique_ptr<RowSource> open_hdf5(const SourceRequest& request) { return std::make_unique<Hdf5Source>(request); }

}  // namespace simtile::formats
