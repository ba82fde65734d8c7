// NumPy archives: dense members, and scipy's CSR matrices, packed or not.
#include <gmock/gmock.h>
#include <zip.h>

#include <utility>

#include "engine/base/os.h"
#include "tests/import_files.h"

namespace simtile {
namespace {

using testing::AllOf;
using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using tests::bytes_of;
using tests::import_bytes;
using tests::Imported;
using tests::npy_bytes;
using tests::refuse_bytes;
using tests::row_of;
using tests::TempFolder;

using Members = std::vector<std::pair<std::string, std::string>>;

std::string zip_bytes(const Members& members, int method = ZIP_CM_DEFLATE) {
  const TempFolder folder;
  const std::string path = folder / "made.zip";
  zip_t* archive = zip_open(path.c_str(), ZIP_CREATE, nullptr);
  for (const auto& [name, bytes] : members) {
    zip_source_t* source = zip_source_buffer(archive, bytes.data(), bytes.size(), 0);
    const zip_int64_t index = zip_file_add(archive, name.c_str(), source, 0);
    zip_set_file_compression(archive, static_cast<zip_uint64_t>(index), method, 1);
  }
  EXPECT_EQ(zip_close(archive), 0);
  return tests::read_bytes(path);
}

std::string floats(const std::string& shape, const std::vector<float>& values) {
  return npy_bytes("<f4", shape, bytes_of(values));
}

std::string shape_of(std::size_t count) { return "(" + std::to_string(count) + ",)"; }

// A CSR matrix as scipy.sparse.save_npz writes it.
struct Csr {
  std::vector<std::int64_t> shape{3, 4};
  std::vector<std::int32_t> indptr{0, 2, 2, 3};
  std::vector<std::int32_t> indices{0, 3, 1};
  std::vector<double> data{1, 2, 3};
  std::string format = "csr";

  Members members() const {
    return {{"indices.npy", npy_bytes("<i4", shape_of(indices.size()), bytes_of(indices))},
            {"indptr.npy", npy_bytes("<i4", shape_of(indptr.size()), bytes_of(indptr))},
            {"format.npy", npy_bytes("|S3", "()", format)},
            {"shape.npy", npy_bytes("<i8", shape_of(shape.size()), bytes_of(shape))},
            {"data.npy", npy_bytes("<f8", shape_of(data.size()), bytes_of(data))}};
  }
  std::string bytes(int method = ZIP_CM_DEFLATE) const { return zip_bytes(members(), method); }
};

class ImportNpz : public testing::TestWithParam<int> {};

TEST_P(ImportNpz, ReadsADenseMember) {
  const TempFolder folder;
  const Members members{{"labels.npy", floats("(2,)", {8, 9})}, {"x.npy", floats("(2, 2)", {1, 2, 3, 4})}};
  const Imported imported = import_bytes(folder, "a.npz", zip_bytes(members, GetParam()));
  EXPECT_EQ(imported.summary.format, "npz");
  EXPECT_FALSE(imported.summary.sparse);
  EXPECT_THAT(row_of(imported.matrix, 0), ElementsAre(1, 2));
  EXPECT_THAT(row_of(imported.matrix, 1), ElementsAre(3, 4));
}

TEST_P(ImportNpz, ReadsACsrMatrix) {
  const TempFolder folder;
  const Imported imported = import_bytes(folder, "a.npz", Csr{}.bytes(GetParam()));
  EXPECT_TRUE(imported.summary.sparse);
  EXPECT_EQ(imported.summary.nonzeros, 3u);
  EXPECT_EQ(imported.matrix.info().nonzeros, 3u);
  EXPECT_THAT(row_of(imported.matrix, 0), ElementsAre(1, 0, 0, 2));
  EXPECT_THAT(row_of(imported.matrix, 1), Each(0.0f));
  EXPECT_THAT(row_of(imported.matrix, 2), ElementsAre(0, 3, 0, 0));
}

// Rows of growing length, more values than a batch takes, columns from last to first.
TEST_P(ImportNpz, SortsTheColumnsOfALargeCsrMatrix) {
  const TempFolder folder;
  constexpr std::int32_t kRows = 900, kColumns = 1000;
  Csr csr{.shape = {kRows, kColumns}, .indptr = {0}, .indices = {}, .data = {}};
  for (std::int32_t row = 0; row < kRows; ++row) {
    for (std::int32_t c = row; c > 0; --c) {
      csr.indices.push_back(c);
      csr.data.push_back(row * 1000 + c);
    }
    csr.indptr.push_back(static_cast<std::int32_t>(csr.indices.size()));
  }
  const Imported imported = import_bytes(folder, "a.npz", csr.bytes(GetParam()));
  EXPECT_EQ(imported.summary.nonzeros, csr.data.size());
  for (std::int32_t row = 0; row < kRows; ++row) {
    const std::vector<float> values = row_of(imported.matrix, static_cast<std::uint64_t>(row));
    for (std::int32_t c = 0; c < kColumns; ++c)
      ASSERT_EQ(values[static_cast<std::size_t>(c)], c > 0 && c <= row ? static_cast<float>(row * 1000 + c) : 0.0f)
          << row << "," << c;
  }
}

INSTANTIATE_TEST_SUITE_P(Methods, ImportNpz, testing::Values(ZIP_CM_STORE, ZIP_CM_DEFLATE),
                         [](const auto& method) { return method.param == ZIP_CM_STORE ? "Stored" : "Deflated"; });

TEST(ImportNpzChoice, IsMadeByName) {
  const TempFolder folder;
  const std::string bytes = zip_bytes({{"a.npy", floats("(1, 1)", {1})}, {"b.npy", floats("(1, 1)", {2})}});
  ImportOptions options;
  EXPECT_THAT(refuse_bytes(folder, "a.npz", bytes, options, ErrorCode::kInvalidArgument), HasSubstr("a, b"));
  options.dataset = "b";
  EXPECT_THAT(row_of(import_bytes(folder, "a.npz", bytes, options).matrix, 0), ElementsAre(2));
  options.dataset = "c";
  EXPECT_THAT(refuse_bytes(folder, "a.npz", bytes, options, ErrorCode::kInvalidArgument), HasSubstr("'c'"));
}

// Each opening reads the archive's whole directory: one for each member took minutes where there were thousands.
TEST(ImportNpzChoice, OpensTheArchiveNoMoreOftenForMoreMembers) {
  const TempFolder folder;
  static int opened;
  const auto times_opened = [&](int vectors) {
    Members members{{"matrix.npy", floats("(1, 1)", {1})}};
    for (int i = 0; i < vectors; ++i) members.emplace_back("v" + std::to_string(i) + ".npy", floats("(1,)", {2}));
    opened = 0;
    os::set_fault_hook([](os::Call call, const char* path) {
      if (call == os::Call::kOpen && std::string_view(path).ends_with(".npz")) ++opened;
      return os::Fault{};
    });
    import_bytes(folder, "a.npz", zip_bytes(members));
    os::set_fault_hook(nullptr);
    return opened;
  };
  const int opened_for_one = times_opened(0);
  EXPECT_GT(opened_for_one, 0);
  EXPECT_EQ(times_opened(20), opened_for_one);
}

TEST(ImportNpzCsr, RefusesOtherFormatsByName) {
  const TempFolder folder;
  for (const std::string format : {"csc", "coo", "bsr", "dia"})
    EXPECT_THAT(refuse_bytes(folder, "a.npz", Csr{.format = format}.bytes()),
                AllOf(HasSubstr("'" + format + "'"), HasSubstr(".tocsr()")));
}

TEST(ImportNpzCsr, RefusesWhatDoesNotFitTogether) {
  const TempFolder folder;
  const auto refusal = [&](const Csr& csr) { return refuse_bytes(folder, "a.npz", csr.bytes()); };
  EXPECT_THAT(refusal({.indices = {3, 3, 1}}), AllOf(HasSubstr("row 0"), HasSubstr("column 3"), HasSubstr("once")));
  EXPECT_THAT(refusal({.indices = {0, 4, 1}}), AllOf(HasSubstr("row 0"), HasSubstr("column 4"), HasSubstr("beyond")));
  EXPECT_THAT(refusal({.indices = {0, -1, 1}}), AllOf(HasSubstr("index 1"), HasSubstr("negative")));
  EXPECT_THAT(refusal({.indptr = {0, 2, 1, 3}}), HasSubstr("row 1"));
  EXPECT_THAT(refusal({.indptr = {0, 2, 2, 9}}), AllOf(HasSubstr("row 2"), HasSubstr("9")));
  EXPECT_THAT(refusal({.indptr = {0, 2, 2, 2}}), HasSubstr("end at 2"));
  EXPECT_THAT(refusal({.indptr = {1, 2, 2, 3}}), HasSubstr("begin with 1"));
  EXPECT_THAT(refusal({.indptr = {0, 2, 3}}), AllOf(HasSubstr("3 row starts"), HasSubstr("3 rows")));
  EXPECT_THAT(refusal({.indptr = {}}), HasSubstr("0 row starts"));
  EXPECT_THAT(refusal({.data = {1, 2}}), AllOf(HasSubstr("3 column indices"), HasSubstr("2 values")));
  EXPECT_THAT(refusal({.data = {1, 1e300, 3}}), AllOf(HasSubstr("index 1"), HasSubstr("f32")));
  EXPECT_THAT(refusal({.data = {1, 2, std::numeric_limits<double>::infinity()}}),
              AllOf(HasSubstr("inf"), HasSubstr("row 2"), HasSubstr("column 1")));
  EXPECT_THAT(refusal({.shape = {3, 5'000'000'000}}), HasSubstr("columns"));
  EXPECT_THAT(refusal({.shape = {3, 0}}), HasSubstr("no columns"));
  EXPECT_THAT(refusal({.shape = {3, 4, 5}}), HasSubstr("3 dimensions"));
}

TEST(ImportNpzCsr, RefusesAMissingMember) {
  const TempFolder folder;
  for (std::size_t missing : {0u, 1u, 4u}) {
    Members members = Csr{}.members();
    const std::string name = members[missing].first.substr(0, members[missing].first.size() - 4);
    members.erase(members.begin() + static_cast<std::ptrdiff_t>(missing));
    EXPECT_THAT(refuse_bytes(folder, "a.npz", zip_bytes(members)), HasSubstr("'" + name + "'"));
  }
}

TEST(ImportNpzDense, RefusesMembersThatLie) {
  const TempFolder folder;
  const auto refusal = [&](const std::string& member) {
    return refuse_bytes(folder, "a.npz", zip_bytes({{"x.npy", member}}));
  };
  EXPECT_THAT(refusal(floats("(2, 2)", {1, 2, 3})), AllOf(HasSubstr("a.npz:x.npy"), HasSubstr("12"), HasSubstr("16")));
  EXPECT_THAT(refusal(floats("(2, 2)", {1, 2, 3, 4, 5})), HasSubstr("20"));
  EXPECT_THAT(refusal(npy_bytes("<f4", "(2, 2)", bytes_of<float>({1, 2, 3, 4}), 1, "True")), HasSubstr("Fortran"));
  EXPECT_THAT(refusal(floats("(4,)", {1, 2, 3, 4})), HasSubstr("no two-dimensional"));
  EXPECT_THAT(refusal("what is this, then"), HasSubstr("not a NumPy array"));
  EXPECT_THAT(refuse_bytes(folder, "a.npz", "PK\x03\x04 and then nothing of the kind"), HasSubstr("unpacked"));
}

TEST(ImportNpzDense, ChecksTheArchivesChecksum) {
  const TempFolder folder;
  const std::string payload = bytes_of<float>({1, 2, 3, 4});
  std::string bytes = zip_bytes({{"x.npy", floats("(2, 2)", {1, 2, 3, 4})}}, ZIP_CM_STORE);
  const std::size_t at = bytes.find(payload);
  ASSERT_NE(at, std::string::npos);
  bytes[at + 2] = static_cast<char>(bytes[at + 2] ^ 0x10);
  EXPECT_THAT(refuse_bytes(folder, "a.npz", bytes), HasSubstr("CRC"));
}

TEST(ImportNpzDense, RefusesEveryPrefix) {
  const TempFolder folder;
  tests::expect_all_prefixes_refused(folder, "a.npz", zip_bytes({{"x.npy", floats("(2, 2)", {1, 2, 3, 4})}}));
}

}  // namespace
}  // namespace simtile
