// The one seam to system calls on files. Everything that simtile reads, writes, maps, renames or removes goes through
// here, at file and tile granularity, never in inner loops; tests set a FaultHook to make any of it fail.
//
// Threads: free functions and const File methods may be called from several threads at once.
// Errors: every failure throws Error(kIo) with the call, the path, the offset and the system's own words.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/bus_guard.h"

namespace simtile::os {

inline constexpr std::uint64_t kPageBytes = 4096;

// The calls that can be made to fail.
enum class Call {
  kOpen,
  kInspect,
  kLock,
  kRead,
  kWrite,
  kSync,
  kTruncate,
  kRename,
  kMap,
  kUnlink,
  kMakeDirectory,
  kList
};

// What a hook decides for one call: proceed, fail with `error` (an errno value), or move only `max_bytes`.
struct Fault {
  int error = 0;
  std::size_t max_bytes = SIZE_MAX;
};

// Asked before each call when set; for tests alone. Setting is not thread safe: set it before the work starts.
using FaultHook = Fault (*)(Call call, const char* path);
void set_fault_hook(FaultHook hook) noexcept;

// An open file: owns its descriptor. Moved-from files hold none.
class File {
 public:
  File() = default;
  File(File&& other) noexcept : fd_(std::exchange(other.fd_, -1)), path_(std::move(other.path_)) {}
  File& operator=(File&& other) noexcept;
  ~File() { close(); }

  // Throws Error(kInvalidArgument) for a pipe or a device.
  static File open_for_reading(const std::string& path);
  // Creates the file if it is missing; keeps what is in it. Does not follow a link of that name.
  static File open_for_writing(const std::string& path);
  // Creates or empties the file.
  static File create(const std::string& path);
  // Creates a file in the folder of `beside_path` that has no name: nothing is left of it however the process ends.
  static File create_unnamed(const std::string& beside_path);
  // Opens a descriptor that the caller hands over, for example standard input.
  static File adopt(int fd, std::string name);

  bool is_open() const noexcept { return fd_ >= 0; }
  int fd() const noexcept { return fd_; }
  const std::string& path() const noexcept { return path_; }

  std::uint64_t size() const;
  struct Identity {
    std::uint64_t device = 0, inode = 0, bytes = 0;
    std::int64_t modified_ns = 0;
    bool operator==(const Identity&) const = default;
  };
  Identity identity() const;

  // Reads up to buffer.size() bytes at `offset`; fewer only at the end of the file.
  std::size_t read_at(std::span<std::byte> buffer, std::uint64_t offset) const;
  // Throws Error(kCorrupt) when the file ends first.
  void read_exactly_at(std::span<std::byte> buffer, std::uint64_t offset) const;
  // Reads the next bytes of a stream (a pipe or a file); 0 at its end.
  std::size_t read_next(std::span<std::byte> buffer) const;
  void write_at(std::span<const std::byte> bytes, std::uint64_t offset) const;

  void sync() const;
  void truncate(std::uint64_t bytes) const;
  // Tells the kernel which bytes will be wanted soon, or never again. Hints: failures are ignored.
  void advise_will_need(std::uint64_t offset, std::uint64_t bytes) const noexcept;
  void advise_dont_need(std::uint64_t offset, std::uint64_t bytes) const noexcept;
  void advise_sequential() const noexcept;
  // Only what is asked for is read: nothing around it or ahead, whatever the device's setting.
  void advise_random() const noexcept;
  // Asks the kernel to begin writing those bytes to disk now, so that a later sync() has less to wait for.
  void start_writing_back(std::uint64_t offset, std::uint64_t bytes) const noexcept;
  // Takes the advisory lock; false when another process holds it.
  bool try_lock() const;
  void close() noexcept;

 private:
  File(int fd, std::string path) : fd_(fd), path_(std::move(path)) {}
  int fd_ = -1;
  std::string path_;
};

// A mapping of file pages (read-only, shared, guarded) or of fresh zero pages. Unmapped on destruction.
class Mapping {
 public:
  Mapping() = default;
  Mapping(Mapping&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)),
        bytes_(std::exchange(other.bytes_, 0)),
        guard_(std::exchange(other.guard_, nullptr)) {}
  Mapping& operator=(Mapping&& other) noexcept;
  ~Mapping() { reset(); }

  // `offset` must be a multiple of kPageBytes.
  static Mapping map_file(const File& file, std::uint64_t offset, std::size_t bytes);
  static Mapping anonymous(std::size_t bytes);
  // Shared with the processes that this one forks.
  static Mapping anonymous_shared(std::size_t bytes);

  std::byte* data() const noexcept { return data_; }
  std::size_t size() const noexcept { return bytes_; }
  // Brings a file's pages in with one call instead of a fault each; `offset` is a multiple of kPageBytes. A hint:
  // failures are ignored.
  void populate(std::size_t offset, std::size_t bytes) const noexcept;
  // As File::advise_random, for pages that are touched.
  void advise_random() const noexcept;
  // Brings all pages in and keeps them there; throws when the system refuses (RLIMIT_MEMLOCK).
  void lock(const std::string& path) const;
  // Whether pages were touched that the file no longer has or the disk could not deliver: they read as zeros.
  bool lost_pages() const noexcept { return guard_ != nullptr && os::lost_pages(*guard_); }
  void reset() noexcept;

 private:
  Mapping(void* data, std::size_t bytes) : data_(static_cast<std::byte*>(data)), bytes_(bytes) {}
  std::byte* data_ = nullptr;
  std::size_t bytes_ = 0;
  GuardedWindow* guard_ = nullptr;
};

// What a path names now; nothing when it names nothing. Like the questions below it throws when the system cannot tell:
// a file that could not be asked about is not a missing one.
std::optional<File::Identity> identity_of(const std::string& path);
// Whether both are one name in one folder, so that a file renamed to one of them replaces the other.
bool is_same_entry(const std::string& a, const std::string& b);
bool exists(const std::string& path);
bool is_directory(const std::string& path);
// A device, pipe or socket: something that a rename must not replace.
bool is_special_file(const std::string& path);
// The names in a folder, in no order, without "." and "..".
std::vector<std::string> list_folder(const std::string& path);
// Makes one directory; false when it is there already.
bool make_directory(const std::string& path);
void rename_over(const std::string& from, const std::string& to);
// Makes a rename or a removal in the path's folder durable.
void sync_folder_of(const std::string& path);
// False when there was nothing to remove; other failures throw.
bool remove_file(const std::string& path);
// For clean-up on the way out of a failure: never throws.
void remove_file_quietly(const std::string& path) noexcept;
bool remove_empty_directory(const std::string& path);

// Asks for the use of AMX's tile registers, which a process has only once it has asked; false where there are none.
bool may_use_tile_registers() noexcept;

}  // namespace simtile::os
