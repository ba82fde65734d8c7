// A file that is cut while it is mapped: zeros and a mark in place of SIGBUS, and only for our own windows.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <filesystem>
#include <fstream>
#include <thread>
#include <vector>

#include "engine/base/os.h"
#include "engine/memory/lease.h"
#include "engine/storage/matrix_file.h"
#include "tests/job_oracle.h"
#include "tests/test_files.h"

namespace simtile::tests {
namespace {

using ::testing::HasSubstr;

std::string file_of_ones(const std::filesystem::path& path, std::size_t bytes) {
  std::ofstream(path, std::ios::binary) << std::string(bytes, '\1');
  return path.string();
}

TEST(MappedFile, PagesBeyondTheNewEndReadAsZerosAndAreReported) {
  const TempFolder folder;
  const std::string path = file_of_ones(folder / "file", 16 * os::kPageBytes);
  const os::File file = os::File::open_for_reading(path);
  const os::Mapping mapping = os::Mapping::map_file(file, 0, 16 * os::kPageBytes);
  std::filesystem::resize_file(path, 2 * os::kPageBytes);
  EXPECT_EQ(mapping.data()[0], std::byte{1});
  EXPECT_FALSE(mapping.lost_pages());
  EXPECT_EQ(mapping.data()[5 * os::kPageBytes], std::byte{0});
  EXPECT_TRUE(mapping.lost_pages());
  EXPECT_EQ(mapping.data()[os::kPageBytes], std::byte{1}) << "what is still there is still read";
}

TEST(MappedFile, OnlyTheWindowThatWasTouchedIsMarked) {
  const TempFolder folder;
  const std::string path = file_of_ones(folder / "file", 4 * os::kPageBytes);
  const os::File file = os::File::open_for_reading(path);
  std::vector<os::Mapping> windows;  // more than one block of slots
  for (int i = 0; i < 200; ++i) windows.push_back(os::Mapping::map_file(file, 0, 4 * os::kPageBytes));
  std::filesystem::resize_file(path, 0);
  EXPECT_EQ(windows[150].data()[os::kPageBytes], std::byte{0});
  for (std::size_t i = 0; i < windows.size(); ++i) EXPECT_EQ(windows[i].lost_pages(), i == 150) << i;
  windows[150] = {};
  file_of_ones(path, 4 * os::kPageBytes);
  EXPECT_FALSE(os::Mapping::map_file(file, 0, os::kPageBytes).lost_pages()) << "a slot that is used again is clean";
}

TEST(MappedFile, ManyThreadsMayTouchLostPagesAtOnce) {
  const TempFolder folder;
  const std::string path = file_of_ones(folder / "file", 64 * os::kPageBytes);
  const os::File file = os::File::open_for_reading(path);
  const os::Mapping shared = os::Mapping::map_file(file, 0, 64 * os::kPageBytes);
  std::filesystem::resize_file(path, 0);
  std::vector<std::thread> threads;
  std::atomic<int> sum{0};
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      for (std::size_t page = 64; page-- > 0;) sum += std::to_integer<int>(shared.data()[page * os::kPageBytes]);
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(sum, 0);
  EXPECT_TRUE(shared.lost_pages());
}

// A mapping that simtile knows nothing of keeps its fate.
TEST(MappedFileDeathTest, AForeignMappingStillEndsTheProcess) {
  const TempFolder folder;
  const std::string path = file_of_ones(folder / "file", os::kPageBytes);
  const os::File file = os::File::open_for_reading(path);
  const os::Mapping ours = os::Mapping::map_file(file, 0, os::kPageBytes);
  void* const foreign = ::mmap(nullptr, os::kPageBytes, PROT_READ, MAP_SHARED, file.fd(), 0);
  ASSERT_NE(foreign, MAP_FAILED);
  std::filesystem::resize_file(path, 0);
  EXPECT_DEATH(
      {
        const volatile char byte = *static_cast<const volatile char*>(foreign);
        (void)byte;
      },
      "");
  ::munmap(foreign, os::kPageBytes);
}

// The file changes in every way while a lease lives; closing the lease tells.
class LeaseOfAChangedFile : public ::testing::Test {
 protected:
  static std::string closing_error(Lease& lease) {
    return expect_error(ErrorCode::kCorrupt, [&] { lease.close(); });
  }
  LeaseOfAChangedFile() {
    write_matrix(path_, random_matrix(3000, 64, 14));
    file_ = storage::MatrixFile::open(path_);
    rows_.emplace(file_.container(), *file_.section(storage::SectionKind::kRows),
                  std::make_shared<const std::vector<std::uint64_t>>(file_.container().load_checksums()), budget_);
  }
  const TempFolder folder_;
  const std::string path_ = folder_ / "a.emb";
  PageBudget budget_{std::uint64_t{1} << 30};
  storage::MatrixFile file_;
  std::optional<LeasedSection> rows_;
};

TEST_F(LeaseOfAChangedFile, CutAndRead) {
  Lease lease = rows_->lease(0, 3000 * 256);
  lease.load(0, 3000 * 256);
  std::filesystem::resize_file(path_, 8192);
  EXPECT_EQ(lease.data()[2000 * 256], std::byte{0});
  EXPECT_THAT(closing_error(lease), HasSubstr("was cut to 8192 bytes"));
}

TEST_F(LeaseOfAChangedFile, CutWithinTheLastPageWhereNothingIsRaised) {
  Lease lease = rows_->lease(0, 3000 * 256);
  lease.load(0, 3000 * 256);
  std::filesystem::resize_file(path_, std::filesystem::file_size(path_) - 1);
  EXPECT_THAT(closing_error(lease), HasSubstr("while it was in use"));
}

TEST_F(LeaseOfAChangedFile, CutAndGrownAgain) {
  const auto bytes = std::filesystem::file_size(path_);
  Lease lease = rows_->lease(0, 3000 * 256);
  lease.load(0, 3000 * 256);
  std::filesystem::resize_file(path_, 8192);
  std::filesystem::resize_file(path_, bytes);
  EXPECT_THAT(closing_error(lease), HasSubstr("written to"));
}

TEST_F(LeaseOfAChangedFile, ReplacedByRenamingIsNoChange) {
  Lease lease = rows_->lease(0, 3000 * 256);
  lease.load(0, 3000 * 256);
  write_matrix(path_ + ".new", random_matrix(3000, 64, 15));
  std::filesystem::rename(path_ + ".new", path_);
  lease.close();
  EXPECT_EQ(budget_.used_bytes(), 0u);
}

// As when the disk fails: the page is gone while the file is what it was. An empty memory file over the page does that.
TEST_F(LeaseOfAChangedFile, APageThatTheDiskDoesNotDeliverIsTheDisksFault) {
  for (const bool loaded_before : {false, true}) {
    Lease lease = rows_->lease(0, 3000 * 256);
    if (loaded_before) lease.load(0, 3000 * 256);
    const os::File nothing = os::File::adopt(::memfd_create("nothing", 0), "nothing");
    ASSERT_NE(::mmap(const_cast<std::byte*>(lease.data()) + 2 * os::kPageBytes, os::kPageBytes, PROT_READ,
                     MAP_SHARED | MAP_FIXED, nothing.fd(), 0),
              MAP_FAILED);
    const std::string message = expect_error(ErrorCode::kIo, [&] {
      lease.load(0, 3000 * 256);
      EXPECT_EQ(lease.data()[2 * os::kPageBytes], std::byte{0});
      lease.close();
    });
    EXPECT_THAT(message, HasSubstr("the disk did not deliver"));
  }
}

}  // namespace
}  // namespace simtile::tests
