#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

#include "engine/base/checked.h"
#include "engine/base/os.h"
#include "engine/memory/kernel_file.h"
#include "simtile/memory.h"

namespace simtile {
namespace {

#ifndef SYS_cachestat
constexpr long kCachestatCall = 451;  // the same on all architectures
#else
constexpr long kCachestatCall = SYS_cachestat;
#endif

// As the kernel has them (linux/mman.h, from 6.5 on).
struct CachestatRange {
  std::uint64_t offset, bytes;
};
struct Cachestat {
  std::uint64_t cached, dirty, writeback, evicted, recently_evicted;  // pages
};

bool ask_cachestat(const os::File& file, MemoryOfFile& facts) {
  const CachestatRange range{0, facts.file_bytes};
  Cachestat stat{};
  if (::syscall(kCachestatCall, file.fd(), &range, &stat, 0) != 0) return false;
  const std::uint64_t most = round_up(facts.file_bytes, os::kPageBytes);
  facts.cached_bytes = std::min(stat.cached * os::kPageBytes, most);
  facts.dirty_bytes = stat.dirty * os::kPageBytes;
  facts.writeback_bytes = stat.writeback * os::kPageBytes;
  return true;
}

// Maps a piece at a time, without touching it.
void ask_mincore(const os::File& file, MemoryOfFile& facts) {
  constexpr std::uint64_t kPieceBytes = std::uint64_t{1} << 30;
  std::vector<unsigned char> pages(kPieceBytes / os::kPageBytes);
  for (std::uint64_t at = 0; at < facts.file_bytes; at += kPieceBytes) {
    const auto bytes = static_cast<std::size_t>(std::min(kPieceBytes, facts.file_bytes - at));
    const os::Mapping mapping = os::Mapping::map_file(file, at, bytes);
    if (::mincore(mapping.data(), bytes, pages.data()) != 0) return;
    const auto count = static_cast<std::ptrdiff_t>(divide_up(bytes, os::kPageBytes));
    const auto cached =
        std::count_if(pages.begin(), pages.begin() + count, [](unsigned char p) { return (p & 1) != 0; });
    facts.cached_bytes += static_cast<std::uint64_t>(cached) * os::kPageBytes;
  }
}

}  // namespace

std::optional<MemoryOfProcess> memory_of_process(int pid) {
  const std::string folder = "/proc/" + std::to_string(pid);
  const std::string status = read_kernel_file(folder + "/status");
  if (status.empty()) return std::nullopt;
  const std::string rollup = read_kernel_file(folder + "/smaps_rollup");
  const auto kib = [](const std::string& text, const char* key) { return kernel_field(text, key) * 1024; };
  MemoryOfProcess memory;
  memory.rss_bytes = kib(status, "VmRSS:");
  memory.peak_rss_bytes = kib(status, "VmHWM:");
  memory.rss_anon_bytes = kib(status, "RssAnon:");
  memory.rss_file_bytes = kib(status, "RssFile:") + kib(status, "RssShmem:");
  memory.page_table_bytes = kib(status, "VmPTE:");
  memory.locked_bytes = kib(status, "VmLck:");
  memory.swap_bytes = kib(status, "VmSwap:");
  memory.pss_bytes = kib(rollup, "Pss:");
  memory.pss_anon_bytes = kib(rollup, "Pss_Anon:");
  memory.pss_file_bytes = kib(rollup, "Pss_File:") + kib(rollup, "Pss_Shmem:");
  memory.private_bytes = kib(rollup, "Private_Clean:") + kib(rollup, "Private_Dirty:");
  return memory;
}

MemoryOfFile memory_of_file(const std::string& path) {
  const os::File file = os::File::open_for_reading(path);
  MemoryOfFile facts;
  facts.file_bytes = file.size();
  facts.by_cachestat = ask_cachestat(file, facts);
  if (!facts.by_cachestat) ask_mincore(file, facts);
  return facts;
}

}  // namespace simtile
