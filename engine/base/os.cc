#include "engine/base/os.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <memory>

#include "simtile/error.h"

namespace simtile::os {
namespace {

std::atomic<FaultHook> g_fault_hook{nullptr};

constexpr std::size_t kHugePagesFrom = std::size_t{4} << 20;

Fault consult(Call call, const std::string& path) {
  const FaultHook hook = g_fault_hook.load(std::memory_order_relaxed);
  return hook ? hook(call, path.c_str()) : Fault{};
}

[[noreturn]] void fail(const char* what, const std::string& path, int error, const std::string& detail = {}) {
  std::string message = std::string("cannot ") + what + " '" + path + "'";
  if (!detail.empty()) message += " " + detail;
  message += ": " + std::string(std::strerror(error));
  if (error == ENOSPC || error == EDQUOT) message += "; free some space and run the same command again";
  throw Error(ErrorCode::kIo, message);
}

// Retries `call` while signals interrupt it; a fault takes the place of the call.
template <typename Function>
auto retry(Call call, const std::string& path, Function function) -> decltype(function(SIZE_MAX)) {
  for (;;) {
    const Fault fault = consult(call, path);
    if (fault.error != 0) errno = fault.error;
    const auto result = fault.error != 0 ? decltype(function(SIZE_MAX))(-1) : function(fault.max_bytes);
    if (result >= 0 || errno != EINTR) return result;
  }
}

int open_or_fail(const std::string& path, int flags, const char* what) {
  const int fd = static_cast<int>(
      retry(Call::kOpen, path, [&](std::size_t) { return ::open(path.c_str(), flags | O_CLOEXEC, 0666); }));
  if (fd < 0) fail(what, path, errno);
  return fd;
}

struct CloseFolder {
  void operator()(DIR* folder) const noexcept { ::closedir(folder); }
};

// False when there is nothing of that name.
bool inspect(const std::string& path, int flags, struct stat* status) {
  const auto result =
      retry(Call::kInspect, path, [&](std::size_t) { return ::fstatat(AT_FDCWD, path.c_str(), status, flags); });
  if (result != 0 && errno != ENOENT && errno != ENOTDIR) fail("inspect", path, errno);
  return result == 0;
}

struct stat status_of(int fd, const std::string& path) {
  struct stat status {};
  if (retry(Call::kInspect, path, [&](std::size_t) { return ::fstat(fd, &status); }) != 0) fail("inspect", path, errno);
  return status;
}

File::Identity identity_in(const struct stat& status) {
  return {status.st_dev, status.st_ino, static_cast<std::uint64_t>(status.st_size),
          status.st_mtim.tv_sec * 1'000'000'000 + status.st_mtim.tv_nsec};
}

std::string folder_of(const std::string& path) {
  std::string folder = std::filesystem::path(path).parent_path().string();
  return folder.empty() ? "." : folder;
}

std::string at_offset(std::uint64_t offset) { return "at offset " + std::to_string(offset); }

}  // namespace

void set_fault_hook(FaultHook hook) noexcept { g_fault_hook.store(hook, std::memory_order_relaxed); }

File& File::operator=(File&& other) noexcept {
  if (this != &other) {
    close();
    fd_ = std::exchange(other.fd_, -1);
    path_ = std::move(other.path_);
  }
  return *this;
}

File File::open_for_reading(const std::string& path) {
  // A pipe that nobody writes to would be waited for, through every signal.
  File file(open_or_fail(path, O_RDONLY | O_NONBLOCK, "open"), path);
  const mode_t kind = status_of(file.fd(), path).st_mode;
  if (S_ISDIR(kind)) fail("open", path, EISDIR);
  if (!S_ISREG(kind)) throw Error(ErrorCode::kInvalidArgument, "'" + path + "' is a pipe or a device; name a file");
  return file;
}

File File::open_for_writing(const std::string& path) {
  return File(open_or_fail(path, O_RDWR | O_CREAT | O_NOFOLLOW, "open for writing"), path);
}

File File::create(const std::string& path) {
  return File(open_or_fail(path, O_RDWR | O_CREAT | O_TRUNC, "create"), path);
}

File File::create_unnamed(const std::string& beside_path) {
  const std::string folder = folder_of(beside_path);
  const int fd = static_cast<int>(retry(Call::kOpen, beside_path, [&](std::size_t) {
    return ::open(folder.c_str(), O_RDWR | O_TMPFILE | O_CLOEXEC, 0666);
  }));
  if (fd >= 0) return File(fd, beside_path);
  // The file system has no such files, or the kernel does not know the flag.
  if (errno != EOPNOTSUPP && errno != EISDIR) fail("create a file beside", beside_path, errno);
  static std::atomic<unsigned> serial{0};
  const std::string name =
      beside_path + ".spool-" + std::to_string(::getpid()) + "-" + std::to_string(serial.fetch_add(1));
  File file = create(name);
  remove_file(name);
  return file;
}

File File::adopt(int fd, std::string name) { return File(fd, std::move(name)); }

void File::close() noexcept {
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

std::uint64_t File::size() const { return identity().bytes; }

File::Identity File::identity() const { return identity_in(status_of(fd_, path_)); }

std::size_t File::read_at(std::span<std::byte> buffer, std::uint64_t offset) const {
  std::size_t done = 0;
  while (done < buffer.size()) {
    const ssize_t moved = retry(Call::kRead, path_, [&](std::size_t limit) {
      return ::pread(fd_, buffer.data() + done, std::min(limit, buffer.size() - done),
                     static_cast<off_t>(offset + done));
    });
    if (moved < 0) fail("read", path_, errno, at_offset(offset + done));
    if (moved == 0) break;
    done += static_cast<std::size_t>(moved);
  }
  return done;
}

void File::read_exactly_at(std::span<std::byte> buffer, std::uint64_t offset) const {
  const std::size_t done = read_at(buffer, offset);
  if (done != buffer.size())
    throw Error(ErrorCode::kCorrupt, "'" + path_ + "' ends at byte " + std::to_string(offset + done) + ", but " +
                                         std::to_string(buffer.size()) + " bytes were expected at offset " +
                                         std::to_string(offset) + "; the file was cut short: make it again");
}

std::size_t File::read_next(std::span<std::byte> buffer) const {
  const ssize_t moved = retry(Call::kRead, path_, [&](std::size_t limit) {
    return ::read(fd_, buffer.data(), std::min(limit, buffer.size()));
  });
  if (moved < 0) fail("read", path_, errno);
  return static_cast<std::size_t>(moved);
}

void File::write_at(std::span<const std::byte> bytes, std::uint64_t offset) const {
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t moved = retry(Call::kWrite, path_, [&](std::size_t limit) {
      return ::pwrite(fd_, bytes.data() + done, std::min(limit, bytes.size() - done),
                      static_cast<off_t>(offset + done));
    });
    if (moved <= 0) fail("write", path_, moved == 0 ? ENOSPC : errno, at_offset(offset + done));
    done += static_cast<std::size_t>(moved);
  }
}

void File::sync() const {
  if (retry(Call::kSync, path_, [&](std::size_t) { return ::fdatasync(fd_); }) != 0) fail("sync", path_, errno);
}

void File::truncate(std::uint64_t bytes) const {
  if (retry(Call::kTruncate, path_, [&](std::size_t) { return ::ftruncate(fd_, static_cast<off_t>(bytes)); }) != 0)
    fail("resize", path_, errno);
}

void File::advise_will_need(std::uint64_t offset, std::uint64_t bytes) const noexcept {
  // The kernel does no more of one call than the device's read-ahead, 128 KiB unless it is set.
  constexpr std::uint64_t kAtOnce = 128 << 10;
  for (std::uint64_t at = 0; at < bytes; at += kAtOnce)
    ::posix_fadvise(fd_, static_cast<off_t>(offset + at), static_cast<off_t>(std::min(kAtOnce, bytes - at)),
                    POSIX_FADV_WILLNEED);
}

void File::advise_dont_need(std::uint64_t offset, std::uint64_t bytes) const noexcept {
  ::posix_fadvise(fd_, static_cast<off_t>(offset), static_cast<off_t>(bytes), POSIX_FADV_DONTNEED);
}

void File::advise_random() const noexcept { ::posix_fadvise(fd_, 0, 0, POSIX_FADV_RANDOM); }

void File::advise_sequential() const noexcept { ::posix_fadvise(fd_, 0, 0, POSIX_FADV_SEQUENTIAL); }

void File::start_writing_back(std::uint64_t offset, std::uint64_t bytes) const noexcept {
  ::sync_file_range(fd_, static_cast<off_t>(offset), static_cast<off_t>(bytes), SYNC_FILE_RANGE_WRITE);
}

bool File::try_lock() const {
  if (retry(Call::kLock, path_, [&](std::size_t) { return ::flock(fd_, LOCK_EX | LOCK_NB); }) == 0) return true;
  if (errno == EWOULDBLOCK) return false;
  fail("lock", path_, errno);
}

Mapping& Mapping::operator=(Mapping&& other) noexcept {
  if (this != &other) {
    reset();
    data_ = std::exchange(other.data_, nullptr);
    bytes_ = std::exchange(other.bytes_, 0);
    guard_ = std::exchange(other.guard_, nullptr);
  }
  return *this;
}

Mapping Mapping::map_file(const File& file, std::uint64_t offset, std::size_t bytes) {
  if (bytes == 0) return {};
  const Fault fault = consult(Call::kMap, file.path());
  void* address = MAP_FAILED;
  if (fault.error != 0)
    errno = fault.error;
  else
    address = ::mmap(nullptr, bytes, PROT_READ, MAP_SHARED, file.fd(), static_cast<off_t>(offset));
  if (address == MAP_FAILED) fail("map", file.path(), errno, at_offset(offset));
  Mapping mapping(address, bytes);
  mapping.guard_ = guard_window(address, bytes);
  return mapping;
}

namespace {

void* map_anonymous(std::size_t bytes, int flags) {
  const Fault fault = consult(Call::kMap, "(memory)");
  void* address = MAP_FAILED;
  if (fault.error != 0)
    errno = fault.error;
  else
    address = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (address == MAP_FAILED) fail("map", "(memory)", errno, std::to_string(bytes) + " bytes");
  return address;
}

}  // namespace

Mapping Mapping::anonymous(std::size_t bytes) {
  if (bytes == 0) return {};
  void* address = map_anonymous(bytes, MAP_PRIVATE);
  // Fewer faults and address look-ups where there is much to hold. A hint: refusals are ignored.
  if (bytes >= kHugePagesFrom) ::madvise(address, bytes, MADV_HUGEPAGE);
  return {address, bytes};
}

Mapping Mapping::anonymous_shared(std::size_t bytes) {
  if (bytes == 0) return {};
  return {map_anonymous(bytes, MAP_SHARED), bytes};
}

void Mapping::lock(const std::string& path) const {
  if (retry(Call::kMap, path, [&](std::size_t) { return ::mlock(data_, bytes_); }) != 0)
    fail("lock in memory", path, errno,
         "(" + std::to_string(bytes_) + " bytes; raise the limit with `ulimit -l` or LimitMEMLOCK=)");
}

void Mapping::populate([[maybe_unused]] std::size_t offset, [[maybe_unused]] std::size_t bytes) const noexcept {
#ifdef MADV_POPULATE_READ
  ::madvise(data_ + offset, bytes, MADV_POPULATE_READ);
#endif
}

void Mapping::advise_random() const noexcept { ::madvise(data_, bytes_, MADV_RANDOM); }

void Mapping::reset() noexcept {
  if (guard_ != nullptr) unguard_window(guard_);
  guard_ = nullptr;
  if (data_ != nullptr) ::munmap(data_, bytes_);
  data_ = nullptr;
  bytes_ = 0;
}

std::optional<File::Identity> identity_of(const std::string& path) {
  struct stat status {};
  if (!inspect(path, 0, &status)) return std::nullopt;
  return identity_in(status);
}

bool is_same_entry(const std::string& a, const std::string& b) {
  const auto name_of = [](const std::string& path) { return path.substr(path.rfind('/') + 1); };
  if (name_of(a) != name_of(b)) return false;
  const std::optional<File::Identity> of_a = identity_of(folder_of(a));
  const std::optional<File::Identity> of_b = identity_of(folder_of(b));
  return of_a && of_b && of_a->device == of_b->device && of_a->inode == of_b->inode;
}

bool exists(const std::string& path) {
  struct stat status {};
  return inspect(path, AT_SYMLINK_NOFOLLOW, &status);
}

bool is_directory(const std::string& path) {
  struct stat status {};
  return inspect(path, 0, &status) && S_ISDIR(status.st_mode);
}

bool is_special_file(const std::string& path) {
  struct stat status {};
  return inspect(path, 0, &status) && !S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode);
}

std::vector<std::string> list_folder(const std::string& path) {
  const int fd = open_or_fail(path, O_RDONLY | O_DIRECTORY, "open");
  const std::unique_ptr<DIR, CloseFolder> folder(::fdopendir(fd));
  if (!folder) {
    ::close(fd);
    fail("list", path, ENOMEM);
  }
  std::vector<std::string> names;
  for (;;) {
    const dirent* entry = nullptr;
    const auto result = retry(Call::kList, path, [&](std::size_t) {
      errno = 0;
      entry = ::readdir(folder.get());
      return entry == nullptr && errno != 0 ? -1 : 0;
    });
    if (result != 0) fail("list", path, errno);
    if (entry == nullptr) return names;
    const std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(name);
  }
}

bool make_directory(const std::string& path) {
  const auto result = retry(Call::kMakeDirectory, path, [&](std::size_t) { return ::mkdir(path.c_str(), 0777); });
  if (result == 0) return true;
  const int error = errno;
  if (error != EEXIST || !is_directory(path)) fail("make the folder", path, error);
  return false;
}

void rename_over(const std::string& from, const std::string& to) {
  if (retry(Call::kRename, to, [&](std::size_t) { return ::rename(from.c_str(), to.c_str()); }) != 0)
    fail("publish", to, errno, "(by renaming '" + from + "')");
}

void sync_folder_of(const std::string& path) {
  const std::string folder = folder_of(path);
  const File file = File::adopt(open_or_fail(folder, O_RDONLY | O_DIRECTORY, "open"), folder);
  if (retry(Call::kSync, folder, [&](std::size_t) { return ::fsync(file.fd()); }) != 0) fail("sync", folder, errno);
}

bool remove_file(const std::string& path) {
  const auto result = retry(Call::kUnlink, path, [&](std::size_t) { return ::unlink(path.c_str()); });
  if (result != 0 && errno != ENOENT) fail("remove", path, errno);
  return result == 0;
}

void remove_file_quietly(const std::string& path) noexcept { ::unlink(path.c_str()); }

bool remove_empty_directory(const std::string& path) { return ::rmdir(path.c_str()) == 0; }

bool may_use_tile_registers() noexcept {
#ifdef SYS_arch_prctl
  constexpr long kRequestPermission = 0x1023;  // ARCH_REQ_XCOMP_PERM
  constexpr long kTileData = 18;               // XFEATURE_XTILEDATA
  return ::syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
#else
  return false;
#endif
}

}  // namespace simtile::os
