// Neighbours as an SQLite database, for a service that looks rows up:
//
//   neighbors(id, rank INTEGER, neighbor_id, score REAL), with an index on (id, rank)
//
// Ids are what the user calls the rows: INTEGER for u64 ids and row numbers, else TEXT. The file is written under its
// temporary name without SQLite's own journal, and published whole.
#include <sqlite3.h>

#include <filesystem>
#include <limits>
#include <memory>
#include <utility>

#include "simtile/error.h"
#include "tools/export.h"
#include "tools/id_cache.h"
#include "tools/output.h"
#include "tools/stop_signal.h"

namespace simtile::tools {
namespace {

constexpr const char* kNothingWritten = "nothing was written; run the same command again";

// One at a time: where SQLite sorts is the process's.
class Database {
 public:
  explicit Database(const std::string& path) : path_(path) {
    sqlite3* opened = nullptr;
    // The temporary is locked already, by whoever names it.
    sort_beside(path);
    const int code = sqlite3_open_v2(path.c_str(), &opened, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, "unix-none");
    handle_.reset(opened);
    check(code);
    constexpr int kStepsBetweenLooks = 100'000;
    sqlite3_progress_handler(
        opened, kStepsBetweenLooks, [](void*) { return is_stopped() ? 1 : 0; }, nullptr);
  }
  ~Database() {
    handle_.reset();
    sqlite3_free(std::exchange(sqlite3_temp_directory, nullptr));
  }
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  void run(const char* sql) { check(sqlite3_exec(handle_.get(), sql, nullptr, nullptr, nullptr)); }
  void check(int code) const {
    if (code == SQLITE_OK || code == SQLITE_DONE) return;
    if (code == SQLITE_INTERRUPT) throw_if_stopped(kNothingWritten);
    throw Error(ErrorCode::kIo, "SQLite cannot write '" + path_ +
                                    "': " + (handle_ ? sqlite3_errmsg(handle_.get()) : "out of memory") +
                                    "; make room in its folder, where SQLite sorts too, or name another output");
  }
  sqlite3* handle() const noexcept { return handle_.get(); }

 private:
  // What the index is sorted in goes where the answer goes, whose disk has to be large enough, and not to /var/tmp.
  static void sort_beside(const std::string& path) {
    const std::string folder = std::filesystem::absolute(path).parent_path().string();
    sqlite3_temp_directory = sqlite3_mprintf("%s", folder.c_str());
  }

  struct Close {
    void operator()(sqlite3* database) const noexcept { sqlite3_close_v2(database); }
  };
  std::string path_;
  std::unique_ptr<sqlite3, Close> handle_;
};

class Insert {
 public:
  explicit Insert(Database& database) : database_(&database) {
    sqlite3_stmt* prepared = nullptr;
    database.check(
        sqlite3_prepare_v2(database.handle(), "INSERT INTO neighbors VALUES (?1, ?2, ?3, ?4)", -1, &prepared, nullptr));
    statement_.reset(prepared);
  }

  void bind_id(int at, const std::string& id, bool is_text) {
    const std::uint64_t number = is_text ? UINT64_MAX : std::stoull(id);
    if (number <= static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))
      database_->check(sqlite3_bind_int64(statement_.get(), at, static_cast<std::int64_t>(number)));
    else
      database_->check(
          sqlite3_bind_text(statement_.get(), at, id.c_str(), static_cast<int>(id.size()), SQLITE_TRANSIENT));
  }
  void run(std::uint64_t rank, float score) {
    database_->check(sqlite3_bind_int64(statement_.get(), 2, static_cast<std::int64_t>(rank)));
    database_->check(sqlite3_bind_double(statement_.get(), 4, static_cast<double>(score)));
    const int code = sqlite3_step(statement_.get());
    sqlite3_reset(statement_.get());
    database_->check(code);
  }

 private:
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const noexcept { sqlite3_finalize(statement); }
  };
  Database* database_;
  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
};

}  // namespace

void export_sqlite(const ExportJob& job) {
  if (job.destination == "-")
    throw Error(ErrorCode::kInvalidArgument, "only csv and ndjson go to standard output; name a file");
  const Neighbours& neighbours = *job.neighbours;
  const bool query_text = neighbours.info().query_id_kind == "string";
  const bool base_text = neighbours.info().base_id_kind == "string";
  const BaseIdCache base_ids(neighbours, job.id_cache_bytes);
  storage::AtomicFile file(job.destination);
  {
    Database database(file.file().path());
    // Nothing is to be taken back: the file appears whole or not at all. 4 MiB of pages; sorting goes to disk.
    database.run("PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA cache_size=-4096; PRAGMA temp_store=FILE");
    database.run("CREATE TABLE neighbors (id, rank INTEGER, neighbor_id, score REAL); BEGIN");
    {
      Insert insert(database);
      for_each_row(neighbours, [&](std::uint64_t row, std::span<const Neighbour> found) {
        insert.bind_id(1, neighbours.query_id(row), query_text);
        for (std::size_t i = 0; i < found.size(); ++i) {
          insert.bind_id(3, base_ids.id(found[i].row), base_text);
          insert.run(i + 1, found[i].score);
        }
      });
    }
    database.run("COMMIT; CREATE INDEX neighbors_by_id ON neighbors (id, rank)");
  }
  file.publish();
}

}  // namespace simtile::tools
