// What every format shares: detection, --ids, options that make no sense, missing files, bounded memory.
#include <gmock/gmock.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/import_files.h"

namespace simtile {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using tests::bytes_of;
using tests::import_bytes;
using tests::Imported;
using tests::refuse_bytes;
using tests::TempFolder;

std::string fbin(std::uint32_t rows) {
  return bytes_of<std::uint32_t>({rows, 1}) + bytes_of(std::vector<float>(rows, 1.0f));
}

Imported import_with_ids(const TempFolder& folder, std::uint32_t rows, const std::string& ids) {
  tests::write_bytes(folder / "ids", ids);
  ImportOptions options;
  options.ids_path = folder / "ids";
  return import_bytes(folder, "a.fbin", fbin(rows), options);
}

std::string refuse_ids(const TempFolder& folder, std::uint32_t rows, const std::string& ids) {
  tests::write_bytes(folder / "ids", ids);
  ImportOptions options;
  options.ids_path = folder / "ids";
  return refuse_bytes(folder, "a.fbin", fbin(rows), options);
}

TEST(Import, RefusesToWriteOverItsInputs) {
  const TempFolder folder;
  tests::write_bytes(folder / "a.fbin", fbin(2));
  tests::write_bytes(folder / "ids", "1\n2\n");
  std::filesystem::create_symlink(folder / "a.fbin", folder / "link");
  std::filesystem::create_hard_link(folder / "ids", folder / "hard");
  ImportOptions options;
  options.ids_path = folder / "ids";
  for (const char* name : {"a.fbin", "ids", "link", "hard"})
    tests::expect_error(ErrorCode::kInvalidArgument, [&] { import_matrix(folder / "a.fbin", folder / name, options); });
  EXPECT_EQ(tests::read_bytes(folder / "a.fbin"), fbin(2));
  EXPECT_EQ(tests::read_bytes(folder / "ids"), "1\n2\n");
}

TEST(ImportIds, KeepsNumbersAsNumbers) {
  const TempFolder folder;
  const Imported imported = import_with_ids(folder, 3, "7\n0\n18446744073709551615\n");
  EXPECT_TRUE(imported.summary.has_ids);
  EXPECT_EQ(imported.matrix.info().id_kind, "u64");
  EXPECT_EQ(imported.matrix.id(2), "18446744073709551615");
  EXPECT_EQ(imported.matrix.find("7"), 0u);
}

TEST(ImportIds, KeepsAllAsStringsWhenOneIsNoNumber) {
  const TempFolder folder;
  for (const std::string odd : {"x", "007", "18446744073709551616", "-1", "1 ", "two words"}) {
    const Imported imported = import_with_ids(folder, 2, "7\r\n" + odd);
    EXPECT_EQ(imported.matrix.info().id_kind, "string") << odd;
    EXPECT_EQ(imported.matrix.id(0), "7");
    EXPECT_EQ(imported.matrix.id(1), odd);
    EXPECT_EQ(imported.matrix.find(odd), 1u);
  }
}

TEST(ImportIds, RefusesWrongCountsAndEmptyIds) {
  const TempFolder folder;
  EXPECT_THAT(refuse_ids(folder, 3, "a\nb\n"), AllOf(HasSubstr("2 ids"), HasSubstr("3 rows")));
  EXPECT_THAT(refuse_ids(folder, 1, "a\nb\n"), AllOf(HasSubstr("2 ids"), HasSubstr("1 rows")));
  EXPECT_THAT(refuse_ids(folder, 3, "a\n\nc\n"), AllOf(HasSubstr("line 2"), HasSubstr("empty id")));
  EXPECT_THAT(refuse_ids(folder, 1, std::string(1 << 20, 'a')), AllOf(HasSubstr("line 1"), HasSubstr("longer than")));
  ImportOptions options;
  options.ids_path = folder / "missing";
  refuse_bytes(folder, "a.fbin", fbin(1), options, ErrorCode::kIo);
}

TEST(ImportIds, ReplaceTheIdsOfTheSource) {
  const TempFolder folder;
  tests::write_bytes(folder / "ids", "10\n20\n");
  ImportOptions options;
  options.ids_path = folder / "ids";
  const Imported imported = import_bytes(folder, "a.vec", "one 1 2\ntwo 3 4\n", options);
  EXPECT_EQ(imported.matrix.info().id_kind, "u64");
  EXPECT_EQ(imported.matrix.id(1), "20");
  EXPECT_THAT(refuse_bytes(folder, "a.vec", "one 1 2\ntwo 3 4\nthree 5 6\n", options),
              AllOf(HasSubstr("2 ids"), HasSubstr("3 rows")))
      << "the number of rows is not known before the end";
}

TEST(ImportFormat, IsFoundByNameThenByFirstBytes) {
  const TempFolder folder;
  const std::string npy = tests::npy_bytes("<f4", "(1, 2)", bytes_of<float>({1, 2}));
  EXPECT_EQ(import_bytes(folder, "a.NPY", npy).summary.format, "npy");
  EXPECT_EQ(import_bytes(folder, "no-extension", npy).summary.format, "npy");
  EXPECT_EQ(import_bytes(folder, "a.dat", "%%MatrixMarket matrix array real general\n1 1\n5\n").summary.format, "mtx");
  EXPECT_EQ(import_bytes(folder, "a.txt", "a headline\nanother\n").summary.format, "text");
  EXPECT_EQ(import_bytes(folder, "a.txt", "word 0.1 0.2 0.3 0.4\n").summary.format, "glove");
  EXPECT_EQ(import_bytes(folder, "a.txt", "1 2\nword 0.1 0.2\n").summary.format, "glove");
  EXPECT_EQ(import_bytes(folder, "a.txt", "1 2\nthree four five\n").summary.format, "text");
}

TEST(ImportFormat, IsNamedWhenItCannotBeFound) {
  const TempFolder folder;
  EXPECT_THAT(refuse_bytes(folder, "a.dat", "whatever"),
              AllOf(HasSubstr("--format"), HasSubstr("npy"), HasSubstr("safetensors"), HasSubstr("hdf5")));
  EXPECT_THAT(refuse_bytes(folder, "empty", ""), HasSubstr("--format"));
  tests::write_dense(folder / "a.emb", 1, 1);
  EXPECT_THAT(refuse_bytes(folder, "b.emb", tests::read_bytes(folder / "a.emb")), HasSubstr("already"));
}

TEST(ImportOptions, ThatMakeNoSenseAreRefused) {
  const TempFolder folder;
  const auto refusal = [&](ImportOptions options) {
    return refuse_bytes(folder, "a.fbin", fbin(1), options, ErrorCode::kInvalidArgument);
  };
  ImportOptions options;
  options.format = "fbim";
  EXPECT_THAT(refusal(options), AllOf(HasSubstr("'fbim'"), HasSubstr("fbin")));
  options = {};
  options.dataset = "train";
  EXPECT_THAT(refusal(options), HasSubstr("--dataset"));
  options = {};
  options.text_dims = 10;
  EXPECT_THAT(refusal(options), HasSubstr("text"));
  options = {};
  options.format = "npy";
  EXPECT_THAT(tests::expect_error(ErrorCode::kInvalidArgument, [&] { import_matrix("-", folder / "x.emb", options); }),
              HasSubstr("standard input"));
}

TEST(Import, SaysWhichFileIsMissing) {
  const TempFolder folder;
  for (const std::string name :
       {"a.npy", "a.npz", "a.fvecs", "a.fbin", "a.mtx", "a.safetensors", "a.vec", "a.txt", "a.h5", "a"})
    EXPECT_THAT(tests::expect_error(ErrorCode::kIo, [&] { import_matrix(folder / name, folder / "x.emb", {}); }),
                HasSubstr(name));
  tests::expect_error(ErrorCode::kIo, [&] { import_matrix(folder.path(), folder / "x.emb", {}); });
}

std::uint64_t peak_rss_bytes() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;)
    if (word == "VmHWM:") {
      std::uint64_t kib = 0;
      status >> kib;
      return kib * 1024;
    }
  return 0;
}

#ifdef __SANITIZE_ADDRESS__
constexpr std::uint64_t kRssLimit = 160 << 20;  // AddressSanitizer keeps a shadow of all memory
#else
constexpr std::uint64_t kRssLimit = 40 << 20;
#endif

// In a process of its own, whose peak is its own.
TEST(Import, StaysSmallWhateverTheFilesSize) {
  const TempFolder folder;
  const std::uint32_t rows = 400000, columns = 128;
  tests::write_bytes(folder / "a.fbin", bytes_of<std::uint32_t>({rows, columns}));
  std::filesystem::resize_file(folder / "a.fbin", 8 + std::uint64_t{4} * rows * columns);
  const pid_t child = ::fork();
  if (child == 0) {
    try {
      import_matrix(folder / "a.fbin", folder / "a.emb", {});
      ::_exit(peak_rss_bytes() < kRssLimit ? 0 : 1);
    } catch (...) {
      ::_exit(2);
    }
  }
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
  EXPECT_EQ(Matrix(folder / "a.emb").rows(), rows);
}

}  // namespace
}  // namespace simtile
