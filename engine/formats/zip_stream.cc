#include "engine/formats/zip_stream.h"

#include <zip.h>

#include <cerrno>
#include <exception>

#include "engine/formats/excerpt.h"
#include "simtile/error.h"

namespace simtile::formats {
namespace {
constexpr zip_int64_t kMaxMembers = 65536;
}

// Lends a file to libzip, so that its reads go through os.h like all others. Exceptions cannot pass through a C
// library: they are kept here, and thrown again by whoever called it.
class ZipArchive::LentFile {
 public:
  explicit LentFile(const std::string& path) : file_(os::File::open_for_reading(path)), bytes_(file_.size()) {}
  LentFile(const LentFile&) = delete;
  LentFile& operator=(const LentFile&) = delete;

  void rethrow_failure() const {
    if (failure_) std::rethrow_exception(failure_);
  }
  static zip_int64_t serve(void* self, void* data, zip_uint64_t length, zip_source_cmd_t command) {
    return static_cast<LentFile*>(self)->serve(data, length, command);
  }

 private:
  zip_int64_t serve(void* data, zip_uint64_t length, zip_source_cmd_t command) {
    switch (command) {
      case ZIP_SOURCE_OPEN: position_ = 0; return 0;
      case ZIP_SOURCE_READ: return read(std::span(static_cast<std::byte*>(data), length));
      case ZIP_SOURCE_CLOSE: return 0;
      case ZIP_SOURCE_STAT: {
        auto* status = static_cast<zip_stat_t*>(data);
        zip_stat_init(status);
        status->size = bytes_;
        status->valid = ZIP_STAT_SIZE;
        return static_cast<zip_int64_t>(sizeof *status);
      }
      case ZIP_SOURCE_ERROR: return zip_error_to_data(&error_, data, length);
      case ZIP_SOURCE_FREE: return 0;
      case ZIP_SOURCE_SEEK: {
        const zip_int64_t target = zip_source_seek_compute_offset(position_, bytes_, data, length, &error_);
        if (target < 0) return -1;
        position_ = static_cast<std::uint64_t>(target);
        return 0;
      }
      case ZIP_SOURCE_TELL: return static_cast<zip_int64_t>(position_);
      case ZIP_SOURCE_SUPPORTS:
        return zip_source_make_command_bitmap(ZIP_SOURCE_OPEN, ZIP_SOURCE_READ, ZIP_SOURCE_CLOSE, ZIP_SOURCE_STAT,
                                              ZIP_SOURCE_ERROR, ZIP_SOURCE_FREE, ZIP_SOURCE_SEEK, ZIP_SOURCE_TELL,
                                              ZIP_SOURCE_SUPPORTS, -1);
      default: zip_error_set(&error_, ZIP_ER_OPNOTSUPP, 0); return -1;
    }
  }

  zip_int64_t read(std::span<std::byte> buffer) noexcept {
    try {
      const std::size_t moved = file_.read_at(buffer, position_);
      position_ += moved;
      return static_cast<zip_int64_t>(moved);
    } catch (...) {
      failure_ = std::current_exception();
      zip_error_set(&error_, ZIP_ER_READ, EIO);
      return -1;
    }
  }

  os::File file_;
  std::uint64_t bytes_;
  std::uint64_t position_ = 0;
  zip_error_t error_{};
  std::exception_ptr failure_;
};

struct ZipArchive::CloseMember {
  void operator()(zip_file_t* member) const noexcept { zip_fclose(member); }
};

class ZipArchive::Opened {
 public:
  explicit Opened(const std::string& path) : file_(path) {
    zip_error_t error;
    zip_error_init(&error);
    zip_source_t* source = zip_source_function_create(LentFile::serve, &file_, &error);
    archive_ = source != nullptr ? zip_open_from_source(source, ZIP_RDONLY, &error) : nullptr;
    const std::string why = zip_error_strerror(&error);
    zip_error_fini(&error);
    if (archive_ != nullptr) return;
    zip_source_free(source);
    refuse(path, why);
  }
  ~Opened() { zip_discard(archive_); }
  Opened(const Opened&) = delete;
  Opened& operator=(const Opened&) = delete;

  zip_t* archive() const noexcept { return archive_; }
  [[noreturn]] void refuse(const std::string& name, const std::string& why) const {
    file_.rethrow_failure();
    throw Error(ErrorCode::kCorrupt, "'" + name + "' cannot be unpacked (" + why + "); make the archive again");
  }

 private:
  LentFile file_;
  zip_t* archive_ = nullptr;
};

class ZipArchive::MemberStream : public ByteStream {
 public:
  MemberStream(const std::string& path, std::shared_ptr<Opened> opened, const ZipMember& member)
      : ByteStream(path + ":" + excerpt(member.name)),
        opened_(std::move(opened)),
        member_(zip_fopen_index(opened_->archive(), member.index, 0)) {
    if (!member_) opened_->refuse(name(), zip_strerror(opened_->archive()));
  }

 private:
  std::size_t read_some(std::span<std::byte> buffer) override {
    const zip_int64_t moved = zip_fread(member_.get(), buffer.data(), buffer.size());
    if (moved < 0) opened_->refuse(name(), zip_file_strerror(member_.get()));
    return static_cast<std::size_t>(moved);
  }

  std::shared_ptr<Opened> opened_;  // which the member needs until it is gone
  std::unique_ptr<zip_file_t, CloseMember> member_;
};

ZipArchive::ZipArchive(const std::string& path) : path_(path), opened_(std::make_shared<Opened>(path)) {
  zip_t* archive = opened_->archive();
  const zip_int64_t count = zip_get_num_entries(archive, 0);
  if (count > kMaxMembers) opened_->refuse(path, std::to_string(count) + " members are too many");
  for (std::uint64_t index = 0; index < static_cast<std::uint64_t>(count); ++index) {
    zip_stat_t status;
    if (zip_stat_index(archive, index, 0, &status) != 0) opened_->refuse(path, zip_strerror(archive));
    constexpr zip_uint64_t kWanted = ZIP_STAT_NAME | ZIP_STAT_SIZE;
    if ((status.valid & kWanted) == kWanted) members_.push_back({status.name, index, status.size});
  }
}

std::unique_ptr<ByteStream> ZipArchive::open(const ZipMember& member) const {
  return std::make_unique<MemberStream>(path_, opened_, member);
}

}  // namespace simtile::formats
