// HDF5: which dataset is taken, which types are read, chunked and packed ones. The files are made with libhdf5.
#include <gmock/gmock.h>
#include <hdf5.h>

#include "tests/import_files.h"

namespace simtile {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using tests::expect_error;
using tests::row_of;
using tests::TempFolder;

class Hdf5File {
 public:
  explicit Hdf5File(const std::string& path)
      : file_(H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT)) {}
  ~Hdf5File() { H5Fclose(file_); }

  // Writes a dataset of the stored type from values of the memory type; `chunk` empty: contiguous.
  template <typename T>
  void add(const std::string& name, const std::vector<hsize_t>& extents, hid_t stored_type, hid_t memory_type,
           const std::vector<T>& values, const std::vector<hsize_t>& chunk = {}) {
    const hid_t creation = H5Pcreate(H5P_DATASET_CREATE);
    if (!chunk.empty()) {
      H5Pset_chunk(creation, static_cast<int>(chunk.size()), chunk.data());
      H5Pset_deflate(creation, 6);
    }
    const hid_t space = H5Screate_simple(static_cast<int>(extents.size()), extents.data(), nullptr);
    const hid_t dataset = H5Dcreate2(file_, name.c_str(), stored_type, space, H5P_DEFAULT, creation, H5P_DEFAULT);
    if (!values.empty()) H5Dwrite(dataset, memory_type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data());
    H5Dclose(dataset);
    H5Sclose(space);
    H5Pclose(creation);
  }
  void add_floats(const std::string& name, const std::vector<hsize_t>& extents, const std::vector<float>& values) {
    add(name, extents, H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, values);
  }

 private:
  hid_t file_;
};

struct Imported {
  ImportSummary summary;
  Matrix matrix;
};

Imported import(const TempFolder& folder, const ImportOptions& options = {}) {
  ImportSummary summary = import_matrix(folder / "a.hdf5", folder / "out.emb", options);
  return {summary, Matrix(folder / "out.emb")};
}

std::string refuse(const TempFolder& folder, const ImportOptions& options = {}, ErrorCode code = ErrorCode::kCorrupt) {
  return expect_error(code, [&] { import_matrix(folder / "a.hdf5", folder / "none.emb", options); });
}

TEST(ImportHdf5, TakesTheUsualNameOrTheOnlyMatrix) {
  const TempFolder folder;
  const auto first_value = [&](const ImportOptions& options = {}) {
    return row_of(import(folder, options).matrix, 0)[0];
  };
  {
    Hdf5File file(folder / "a.hdf5");
    file.add_floats("labels", {2}, {7, 8});
    file.add_floats("vectors", {1, 2}, {1, 2});
  }
  EXPECT_EQ(import(folder).summary.format, "hdf5");
  EXPECT_EQ(first_value(), 1);
  {
    Hdf5File file(folder / "a.hdf5");
    file.add_floats("test", {1, 2}, {3, 4});
    file.add_floats("train", {1, 2}, {5, 6});
  }
  EXPECT_EQ(first_value(), 5);
  ImportOptions options;
  options.dataset = "test";
  EXPECT_EQ(first_value(options), 3);
  options.dataset = "nope";
  EXPECT_THAT(refuse(folder, options, ErrorCode::kInvalidArgument),
              AllOf(HasSubstr("'nope'"), HasSubstr("test, train")));
  {
    Hdf5File file(folder / "a.hdf5");
    file.add_floats("queries", {1, 2}, {3, 4});
    file.add_floats("dataset", {1, 2}, {9, 6});
  }
  EXPECT_EQ(first_value(), 9);
  {
    Hdf5File file(folder / "a.hdf5");
    file.add_floats("one", {1, 2}, {3, 4});
    file.add_floats("two", {1, 2}, {9, 6});
  }
  EXPECT_THAT(refuse(folder, {}, ErrorCode::kInvalidArgument), HasSubstr("one, two"));
}

TEST(ImportHdf5, ReadsEveryType) {
  const TempFolder folder;
  const auto imported = [&](hid_t stored_type) {
    { Hdf5File(folder / "a.hdf5").add<double>("x", {1, 3}, stored_type, H5T_NATIVE_DOUBLE, {1, 2, 100}); }
    const Imported result = import(folder);
    EXPECT_THAT(row_of(result.matrix, 0), ElementsAre(1, 2, 100));
    return result.summary.element_type;
  };
  EXPECT_EQ(imported(H5T_IEEE_F32LE), ElementType::kF32);
  EXPECT_EQ(imported(H5T_IEEE_F32BE), ElementType::kF32);
  EXPECT_EQ(imported(H5T_IEEE_F64LE), ElementType::kF32);
  EXPECT_EQ(imported(H5T_STD_I8LE), ElementType::kI8);
  EXPECT_EQ(imported(H5T_STD_U8LE), ElementType::kU8);
  EXPECT_EQ(imported(H5T_STD_I16BE), ElementType::kF32);
  EXPECT_EQ(imported(H5T_STD_U16LE), ElementType::kF32);
  EXPECT_EQ(imported(H5T_STD_I32LE), ElementType::kF32);
  EXPECT_EQ(imported(H5T_STD_U32LE), ElementType::kF32);
  EXPECT_EQ(imported(H5T_STD_I64LE), ElementType::kF32);
  EXPECT_EQ(imported(H5T_STD_U64LE), ElementType::kF32);
  const hid_t f16 = H5Tcopy(H5T_IEEE_F32LE);
  H5Tset_fields(f16, 15, 10, 5, 0, 10);
  H5Tset_size(f16, 2);
  H5Tset_ebias(f16, 15);
  EXPECT_EQ(imported(f16), ElementType::kF16);
  H5Tclose(f16);
}

TEST(ImportHdf5, ReadsPackedChunks) {
  const TempFolder folder;
  constexpr hsize_t kRows = 3000, kColumns = 200;
  std::vector<float> values(kRows * kColumns);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i);
  for (const std::vector<hsize_t>& chunk : {std::vector<hsize_t>{700, 64}, {1, 200}, {3000, 200}}) {
    { Hdf5File(folder / "a.hdf5").add("x", {kRows, kColumns}, H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, values, chunk); }
    const Imported imported = import(folder);
    ASSERT_EQ(imported.summary.rows, kRows);
    for (std::uint64_t row = 0; row < kRows; ++row)
      ASSERT_EQ(row_of(imported.matrix, row)[kColumns - 1], static_cast<float>((row + 1) * kColumns - 1));
  }
}

TEST(ImportHdf5, RefusesByName) {
  const TempFolder folder;
  { Hdf5File(folder / "a.hdf5").add<double>("x", {2, 2}, H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, {1, 2, 3, 1e300}); }
  EXPECT_THAT(refuse(folder), AllOf(HasSubstr("row 1"), HasSubstr("column 1"), HasSubstr("f32")));
  { Hdf5File(folder / "a.hdf5").add_floats("x", {4}, {1, 2, 3, 4}); }
  EXPECT_THAT(refuse(folder), HasSubstr("no two-dimensional"));
  { Hdf5File(folder / "a.hdf5").add_floats("x", {1000000, 1000}, {}); }
  EXPECT_THAT(refuse(folder), HasSubstr("never written"));
  const hid_t text = H5Tcopy(H5T_C_S1);
  H5Tset_size(text, 4);
  { Hdf5File(folder / "a.hdf5").add<char>("x", {1, 1}, text, text, {'a', 'b', 'c', '\0'}); }
  H5Tclose(text);
  EXPECT_THAT(refuse(folder), HasSubstr("neither integers nor floats"));
  tests::write_bytes(folder / "a.hdf5", "something else altogether");
  EXPECT_THAT(refuse(folder), HasSubstr("not an HDF5 file"));
}

TEST(ImportHdf5, RefusesEveryPrefix) {
  const TempFolder folder;
  { Hdf5File(folder / "a.hdf5").add_floats("x", {2, 2}, {1, 2, 3, 4}); }
  const std::string bytes = tests::read_bytes(folder / "a.hdf5");
  for (std::size_t length = 0; length < bytes.size(); length += 13) {
    SCOPED_TRACE(length);
    tests::write_bytes(folder / "a.hdf5", bytes.substr(0, length));
    refuse(folder);
  }
}

}  // namespace
}  // namespace simtile
