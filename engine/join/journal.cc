#include "engine/join/journal.h"

#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstring>
#include <filesystem>

#include "engine/storage/container_writer.h"
#include "simtile/error.h"

namespace simtile::join {
namespace {

constexpr char kJournalMagic[8] = {'S', 'I', 'M', 'T', 'J', 'R', 'N', '\n'};
constexpr std::uint64_t kJournalVersion = 3;
// The lock file's text, before the process's id: what tells a work folder from a folder of the user's.
constexpr std::string_view kLockText = "simtile work folder of process ";

// The journal's bytes: this header, the runs of `finished`, the runs of `candidates`, the XXH3 of all that.
struct JournalHeader {
  char magic[8];
  std::uint64_t version;
  std::uint64_t job_identity;
  std::uint64_t rows_done;
  std::uint64_t finished_count;
  std::uint64_t candidates_count;
  std::uint64_t sample_rows;
  std::uint64_t sample_rank;
  std::uint64_t scores_twice;  // 0 or 1
};
static_assert(sizeof(JournalHeader) == 72);

std::string journal_path(const std::string& folder) { return folder + "/journal"; }
std::string lock_path(const std::string& folder) { return folder + "/lock"; }

void append(std::vector<std::byte>& out, std::span<const std::byte> bytes) {
  out.insert(out.end(), bytes.begin(), bytes.end());
}

[[noreturn]] void refuse(const std::string& path, const char* why) {
  throw Error(ErrorCode::kCorrupt, "the journal '" + path + "' " + why + " start the job over with --fresh");
}

// The serial of "<serial>.run", or nothing for any other name.
std::optional<std::uint64_t> run_serial(const std::string& name) {
  std::uint64_t serial = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), serial);
  if (error != std::errc{} || std::string_view(end, name.data() + name.size()) != ".run") return std::nullopt;
  return serial;
}

std::vector<std::uint64_t> list_runs(const std::string& folder) {
  std::vector<std::uint64_t> serials;
  for (const std::string& name : os::list_folder(folder))
    if (const auto serial = run_serial(name)) serials.push_back(*serial);
  return serials;
}

// Up to `most` of the file's first bytes; none of what is no file.
std::string first_bytes(const std::string& path, std::size_t most) {
  if (!os::exists(path) || os::is_directory(path) || os::is_special_file(path)) return {};
  std::string bytes(most, '\0');
  try {
    bytes.resize(os::File::open_for_reading(path).read_at(std::as_writable_bytes(std::span(bytes)), 0));
  } catch (const Error&) {
    if (os::exists(path)) throw;
    return {};  // its owner removed it just now
  }
  return bytes;
}

// Whether a file of that name may be written or removed in a work folder.
bool is_work_file(std::string_view name) {
  constexpr std::string_view kPartial = ".partial";
  if (name.ends_with(kPartial)) name.remove_suffix(kPartial.size());
  return name == "lock" || name == "journal" || name == "base.screen" || name == "queries.screen" ||
         name == "sample.emb" || run_serial(std::string(name));
}

std::vector<std::string> work_files(const std::string& folder) {
  std::vector<std::string> names = os::list_folder(folder);
  std::erase_if(names, [](const std::string& name) { return !is_work_file(name); });
  std::sort(names.begin(), names.end());
  return names;
}

// Whether simtile made these files of the folder: a lock or a journal says so, and a lock that is not wholly written
// stands alone.
bool is_work_folder(const std::string& path, const std::vector<std::string>& names) {
  if (first_bytes(lock_path(path), kLockText.size()) == kLockText) return true;
  if (first_bytes(journal_path(path), sizeof kJournalMagic) == std::string_view(kJournalMagic, sizeof kJournalMagic))
    return true;
  return std::all_of(names.begin(), names.end(), [&](const std::string& name) {
    return name == "lock" && !os::is_directory(lock_path(path)) &&
           kLockText.starts_with(first_bytes(lock_path(path), kLockText.size()));
  });
}

std::set<std::uint64_t> serials_of(const Checkpoint& checkpoint) {
  std::set<std::uint64_t> serials;
  for (const auto* runs : {&checkpoint.finished, &checkpoint.candidates})
    for (const RunInfo& run : *runs) serials.insert(run.serial);
  return serials;
}

// Files are removed from a work folder by their names, which files of the user's may have too. Any others stay.
void refuse_folder_of_others(const std::string& path) {
  for (std::vector<std::string> names = work_files(path); !is_work_folder(path, names);) {
    std::vector<std::string> again = work_files(path);
    if (again == names)
      throw Error(ErrorCode::kInvalidArgument, "the work folder '" + path + "' has a file '" + names.front() +
                                                   "', but no lock or journal that says it is simtile's; name "
                                                   "another folder for --work-dir, or move it away");
    names = std::move(again);  // its owner is about to leave it
  }
}

}  // namespace

void refuse_work_file(const std::string& folder, const std::string& path) {
  const std::filesystem::path file(path);
  if (!is_work_file(file.filename().string())) return;
  std::error_code ignored;  // what cannot be looked up cannot be opened either
  const auto parent = file.has_parent_path() ? file.parent_path() : std::filesystem::path(".");
  if (std::filesystem::weakly_canonical(parent, ignored) == std::filesystem::weakly_canonical(folder, ignored))
    throw Error(ErrorCode::kInvalidArgument, "'" + path + "' lies in the work folder '" + folder +
                                                 "' and has the name of a file of its own, which the job would remove; "
                                                 "name another --work-dir");
}

WorkFolder::WorkFolder(const std::string& path, const RunScope& scope) : path_(path), scope_(scope) {
  const bool made = os::make_directory(path);
  try {
    refuse_folder_of_others(path);
    take_lock();
    // Never empty again: another process takes it for simtile's by its text.
    const std::string text = std::string(kLockText) + std::to_string(::getpid());
    lock_.write_at(std::as_bytes(std::span(text)), 0);
    lock_.truncate(text.size());
    remove_partials();
    for (const std::uint64_t serial : list_runs(path_)) last_serial_ = std::max(last_serial_, serial);
  } catch (const Error&) {
    leave();
    if (made) os::remove_empty_directory(path);
    throw;
  }
}

// Left by a process that was killed while it published a file.
void WorkFolder::remove_partials() {
  for (const char* name : {"/journal", "/base.screen", "/queries.screen", "/sample.emb"})
    os::remove_file(path_ + name + ".partial");
}

void WorkFolder::take_lock() {
  const std::string lock_file = lock_path(path_);
  for (;;) {
    os::File lock = os::File::open_for_writing(lock_file);
    if (!lock.try_lock()) {
      std::string pid(64, '\0');
      pid.resize(lock.read_at(std::as_writable_bytes(std::span(pid)), 0));
      if (pid.starts_with(kLockText)) pid.erase(0, kLockText.size());
      // Who has locked it may be about to write that.
      const std::string holder = pid.empty() ? "another process" : "process " + pid;
      throw Error(ErrorCode::kInvalidArgument, "the work folder '" + path_ + "' is in use by " + holder +
                                                   "; wait for it, or name another --work-dir");
    }
    // Between open and lock the owner before may have removed it: then this lock is on a file without a name.
    const std::optional<os::File::Identity> now = os::identity_of(lock_file);
    if (!now || now->inode != lock.identity().inode) continue;
    lock_ = std::move(lock);
    return;
  }
}

WorkFolder::~WorkFolder() { leave(); }

void WorkFolder::leave() noexcept {
  if (!lock_.is_open()) return;
  try {
    if (!os::exists(journal_path(path_)))
      remove();
    else
      remove_all_unnamed();
  } catch (const std::exception&) {
    // The failure that ended the job is the one to report; what is left here is cleared by the next run.
  }
}

std::optional<Checkpoint> WorkFolder::load() {
  const std::string path = journal_path(path_);
  if (!os::exists(path)) return std::nullopt;
  const os::File file = os::File::open_for_reading(path);
  const std::uint64_t size = file.size();
  constexpr std::uint64_t kLargest = std::uint64_t{1} << 30;
  if (size < offsetof(JournalHeader, job_identity) + sizeof(std::uint64_t) || size > kLargest)
    refuse(path, "has an impossible length;");
  std::vector<std::byte> bytes(static_cast<std::size_t>(size));
  file.read_exactly_at(bytes, 0);
  const std::size_t body = bytes.size() - sizeof(std::uint64_t);
  std::uint64_t stored_hash = 0;
  std::memcpy(&stored_hash, bytes.data() + body, sizeof stored_hash);
  JournalHeader header{};
  std::memcpy(&header, bytes.data(), std::min(body, sizeof header));
  if (std::memcmp(header.magic, kJournalMagic, sizeof header.magic) != 0 ||
      stored_hash != XXH3_64bits(bytes.data(), body))
    refuse(path, "is damaged (its checksum does not match);");
  if (header.version != kJournalVersion)
    refuse(path, "was written by another version of simtile; go on with that one, or");
  if (body < sizeof header) refuse(path, "has an impossible length;");
  const std::uint64_t runs = (body - sizeof header) / sizeof(RunInfo);
  if (header.finished_count > runs || header.candidates_count != runs - header.finished_count ||
      body != sizeof header + runs * sizeof(RunInfo))
    refuse(path, "has a length that does not match its counts;");
  found_other_job_ = header.job_identity != scope_.job_identity;
  if (found_other_job_) return std::nullopt;
  if (header.sample_rows > scope_.base_rows || header.sample_rank > header.sample_rows ||
      (header.sample_rows == 0) != (header.sample_rank == 0))
    refuse(path, "names a sample that no job has;");
  if (header.scores_twice > 1 || (header.scores_twice == 1 && header.candidates_count != 0))
    refuse(path, "says of the pairs what no job does with them;");

  Checkpoint checkpoint;
  checkpoint.rows_done = header.rows_done;
  checkpoint.sample = {header.sample_rows, header.sample_rank};
  checkpoint.scores_twice = header.scores_twice != 0;
  checkpoint.finished.resize(static_cast<std::size_t>(header.finished_count));
  checkpoint.candidates.resize(static_cast<std::size_t>(header.candidates_count));
  const std::byte* at = bytes.data() + sizeof header;
  if (!checkpoint.finished.empty())
    std::memcpy(checkpoint.finished.data(), at, header.finished_count * sizeof(RunInfo));
  at += header.finished_count * sizeof(RunInfo);
  if (!checkpoint.candidates.empty())
    std::memcpy(checkpoint.candidates.data(), at, header.candidates_count * sizeof(RunInfo));
  named_ = serials_of(checkpoint);
  return checkpoint;
}

void WorkFolder::publish(const Checkpoint& checkpoint) {
  const std::set<std::uint64_t> named = serials_of(checkpoint);
  sync_runs(named);
  JournalHeader header{};
  std::memcpy(header.magic, kJournalMagic, sizeof header.magic);
  header.version = kJournalVersion;
  header.job_identity = scope_.job_identity;
  header.rows_done = checkpoint.rows_done;
  header.finished_count = checkpoint.finished.size();
  header.candidates_count = checkpoint.candidates.size();
  header.sample_rows = checkpoint.sample.rows;
  header.sample_rank = checkpoint.sample.rank;
  header.scores_twice = checkpoint.scores_twice ? 1 : 0;
  std::vector<std::byte> bytes;
  append(bytes, std::as_bytes(std::span(&header, 1)));
  append(bytes, std::as_bytes(std::span(checkpoint.finished)));
  append(bytes, std::as_bytes(std::span(checkpoint.candidates)));
  const std::uint64_t hash = XXH3_64bits(bytes.data(), bytes.size());
  append(bytes, std::as_bytes(std::span(&hash, 1)));
  put_in_place(bytes, named);
  named_ = named;
  remove_runs_except(named);
}

// When a call fails after the rename, a power loss may bring back either journal: the runs of both are needed. When one
// fails before it, as on a full disk, those of the new journal are nobody's.
void WorkFolder::put_in_place(std::span<const std::byte> journal, const std::set<std::uint64_t>& named) {
  const std::optional<std::set<std::uint64_t>> named_before = named_;
  storage::AtomicFile file(journal_path(path_));
  file.file().write_at(journal, 0);
  const os::File::Identity written = file.file().identity();
  if (named_)
    named_->insert(named.begin(), named.end());
  else
    named_ = named;
  try {
    file.publish();
  } catch (const Error&) {
    const std::optional<os::File::Identity> now = os::identity_of(journal_path(path_));
    if (!now || now->inode != written.inode) named_ = named_before;
    throw;
  }
}

void WorkFolder::remove_unnamed(const std::vector<RunInfo>& runs) {
  for (const RunInfo& run : runs)
    if (!named_ || !named_->contains(run.serial)) os::remove_file(run_path(path_, run.serial));
}

void WorkFolder::remove_all_unnamed() {
  if (named_) remove_runs_except(*named_);
}

void WorkFolder::sync_runs(const std::set<std::uint64_t>& serials) {
  if (sync_failed_)
    throw Error(ErrorCode::kIo, "what was put by in '" + path_ + "' could not be synced earlier; check the disk");
  sync_failed_ = true;
  for (const std::uint64_t serial : serials)
    if (!named_ || !named_->contains(serial)) os::File::open_for_reading(run_path(path_, serial)).sync();
  sync_failed_ = false;
}

void WorkFolder::remove_runs_except(const std::set<std::uint64_t>& kept) {
  for (const std::uint64_t serial : list_runs(path_))
    if (!kept.contains(serial)) os::remove_file(run_path(path_, serial));
}

void WorkFolder::clear() {
  named_.reset();
  os::remove_file(journal_path(path_));
  for (const char* name : {"/base.screen", "/queries.screen", "/sample.emb"}) os::remove_file(path_ + name);
  remove_runs_except({});
}

void WorkFolder::remove() {
  clear();
  remove_partials();
  os::remove_file(lock_path(path_));  // the last: what is left without it is nobody's
  lock_.close();
  os::remove_empty_directory(path_);
}

}  // namespace simtile::join
