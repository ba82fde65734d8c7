// No allocation for each tile once warm: the buffers that tiles need are made when a job begins, and are used again.
// Every way into glibc's allocator is counted in the whole process, oneTBB's included where it has no allocator of its
// own beside it (libtbbmalloc).
//
// What still allocates, and how often:
//   the neighbours file, at stripes' ends        a list of block checksums for each section, each time it doubles
//   a thread, once                               its sorter, its text of /proc/self/status, oneTBB's list of free tasks
//   each stripe, when the state spills           a reader for each run, a writer for the stripe's final rows, and the
//                                                pipeline, which is emptied and started again
//   each full spill buffer                       its run's writer; the sixteenth time, the readers of the sixteen
//
// To see who allocates, stop in count_allocation() with a debugger.
#include <gmock/gmock.h>
#include <malloc.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdlib>

#include "simtile/job.h"
#include "simtile/searcher.h"
#include "tests/job_oracle.h"
#include "tests/test_files.h"

namespace {

std::atomic<std::uint64_t> g_allocations{0};

void count_allocation() noexcept { g_allocations.fetch_add(1, std::memory_order_relaxed); }

}  // namespace

// Defined in the program, these take the place of glibc's in its shared libraries too.
extern "C" {

void* __libc_malloc(std::size_t bytes);
void* __libc_calloc(std::size_t count, std::size_t bytes);
void* __libc_realloc(void* memory, std::size_t bytes);
void* __libc_memalign(std::size_t alignment, std::size_t bytes);

void* malloc(std::size_t bytes) noexcept {
  count_allocation();
  return __libc_malloc(bytes);
}

void* calloc(std::size_t count, std::size_t bytes) noexcept {
  count_allocation();
  return __libc_calloc(count, bytes);
}

void* realloc(void* memory, std::size_t bytes) noexcept {
  count_allocation();
  return __libc_realloc(memory, bytes);
}

void* memalign(std::size_t alignment, std::size_t bytes) noexcept {
  count_allocation();
  return __libc_memalign(alignment, bytes);
}

void* aligned_alloc(std::size_t alignment, std::size_t bytes) noexcept { return memalign(alignment, bytes); }

int posix_memalign(void** memory, std::size_t alignment, std::size_t bytes) noexcept {
  *memory = memalign(alignment, bytes);
  return *memory == nullptr ? ENOMEM : 0;
}

}  // extern "C"

namespace simtile::tests {
namespace {

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;

struct TileMark {
  std::uint64_t rows_done;
  std::uint64_t allocations;  // of the whole process, up to this tile's end
};

// What the tiles of the later part of a job allocated, after the first third has warmed everything up.
struct Growth {
  std::uint64_t tiles = 0, stripes = 0;
  std::uint64_t tiles_that_allocated = 0;
  std::uint64_t allocations = 0;
};

Growth growth_once_warm(const std::vector<TileMark>& marks) {
  Growth growth;
  for (std::size_t i = marks.size() / 3; i < marks.size(); ++i) {
    const std::uint64_t added = marks[i].allocations - marks[i - 1].allocations;
    ++growth.tiles;
    growth.stripes += marks[i].rows_done != marks[i - 1].rows_done;
    growth.tiles_that_allocated += added != 0;
    growth.allocations += added;
  }
  return growth;
}

class Allocation : public testing::TestWithParam<std::uint32_t> {
 protected:
  // Many columns make small tiles, and so many of them.
  Allocation() {
    write_matrix(base_, random_matrix(8000, 1024, 1));
    write_matrix(queries_, random_matrix(4000, 1024, 2));
    options_.metric = Metric::kInnerProduct;
    options_.top_k = 200;
    options_.threads = GetParam();
    options_.checkpoint_seconds = 1000.0;
    options_.budget_bytes = 1024 * kMiB;
    options_.screen = ScreenUse::kOff;
    options_.pairs = PairScoring::kOnce;  // where the budget is small, spills
  }

  Growth run(const JobInput& input, bool spills, std::uint64_t least_tiles = 200) {
    const JobPlan plan = plan_job(input, options_);
    EXPECT_EQ(plan.spills, spills);
    std::vector<TileMark> marks;
    marks.reserve(4 *
                  plan.tiles_total);  // the process may have grown since, and the job then has more and smaller tiles
    options_.progress = [&](const JobProgress& progress) {
      marks.push_back({progress.rows_done, g_allocations.load(std::memory_order_relaxed)});
    };
    const JobReport report = run_job(input, folder_ / "out.knn", options_);
    EXPECT_EQ(marks.size(), report.plan.tiles_total) << "progress is no longer told of each tile";
    EXPECT_GE(marks.size(), least_tiles) << "too few tiles to tell anything";
    const Growth growth = growth_once_warm(marks);
    RecordProperty("tiles_once_warm", std::to_string(growth.tiles));
    RecordProperty("stripes_once_warm", std::to_string(growth.stripes));
    RecordProperty("tiles_that_allocated", std::to_string(growth.tiles_that_allocated));
    RecordProperty("allocations_once_warm", std::to_string(growth.allocations));
    return growth;
  }

  // Far fewer than tiles: one in each would be many times as much.
  static void expect_none_for_each_tile(const Growth& growth) {
    EXPECT_LE(growth.allocations, 3 * growth.stripes + 4);
    EXPECT_LE(growth.tiles_that_allocated, growth.stripes + 8);
  }

  const TempFolder folder_;
  const std::string base_ = folder_ / "base.emb", queries_ = folder_ / "queries.emb";
  JobOptions options_;
};

TEST(AllocationCounter, SeesNewAndMalloc) {
  const std::uint64_t before = g_allocations.load();
  const auto number = std::make_unique<std::uint64_t>(before);
  void* volatile memory = std::aligned_alloc(64, 64);
  std::free(memory);
  EXPECT_EQ(g_allocations.load(), *number + 2);
}

TEST_P(Allocation, NoneForEachTileOfAJoinInMemory) { expect_none_for_each_tile(run({base_, ""}, false)); }

TEST_P(Allocation, NoneForEachTileOfAScreenedJoin) {
  write_matrix(folder_ / "narrow.emb", random_matrix(36000, 128, 3));
  options_.screen = ScreenUse::kOn;
  options_.top_k = 10;
  expect_none_for_each_tile(run({folder_ / "narrow.emb", ""}, false, 60));
}

TEST_P(Allocation, NoneForEachTileOfASearch) { expect_none_for_each_tile(run({base_, queries_}, false)); }

TEST_P(Allocation, AFewForEachStripeAndSpilledBufferOfAJoinThatSpills) {
  options_.budget_bytes = 1;
  options_.budget_bytes = plan_job_at_least({base_, ""}, options_).smallest_budget_bytes + 8 * kMiB;
  const Growth growth = run({base_, ""}, true);
  EXPECT_LE(growth.allocations, 150 * growth.stripes);
  EXPECT_LE(growth.tiles_that_allocated, growth.tiles / 3);
}

// What a server does with each batch: none at all, once the sizes have been seen. oneTBB may take a little for itself
// at first, wherever its threads happen to be.
TEST_P(Allocation, NoneForEachSearchOfASearcher) {
  const Searcher searcher(base_, {.threads = GetParam()});
  const TestMatrix vectors = random_matrix(100, 1024, 5);
  const std::vector<std::uint64_t> excluded{5, 3, 700};
  for (const std::size_t count : {std::size_t{1}, std::size_t{40}, std::size_t{100}}) {
    std::vector<SearchQuery> queries;
    for (std::size_t q = 0; q < count; ++q) queries.push_back({{vectors.row(q), 1024}, 20, {}, excluded});
    SearchResults results;
    for (int i = 0; i < 8; ++i) searcher.search(queries, Metric::kCosine, results);
    std::uint64_t searches_that_allocated = 0;
    for (int i = 0; i < 8; ++i) {
      const std::uint64_t before = g_allocations.load(std::memory_order_relaxed);
      searcher.search(queries, Metric::kCosine, results);
      searches_that_allocated += g_allocations.load(std::memory_order_relaxed) != before;
    }
    EXPECT_LE(searches_that_allocated, GetParam() == 1 ? 0u : 1u) << count << " queries";
  }
}

INSTANTIATE_TEST_SUITE_P(Threads, Allocation, testing::Values(1u, 2u),
                         [](const auto& threads) { return std::to_string(threads.param) + "Threads"; });

}  // namespace
}  // namespace simtile::tests
