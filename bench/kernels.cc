// Micro-benchmarks of the kernels. Each reports its rate and, beside it, the share of what the machine can do: of the
// FMA peak for arithmetic, of the read bandwidth for streaming, both measured just before and after it in this process.
// Rates are by processor time, which a busy machine disturbs least; those of fma_peak and read_bandwidth, which stand
// beside whole jobs, by the wall.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <limits>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "bench/few_query_scans.h"
#include "bench/machine_limits.h"
#include "bench/share_of_limit.h"
#include "engine/kernels/tile_kernel.h"
#include "engine/storage/element.h"
#include "engine/topk/candidate_key.h"

namespace simtile::bench {
namespace {

using kernels::Strip;
using kernels::TileKernel;

std::vector<Isa> supported_sets() {
  std::vector<Isa> sets;
  for (const Isa isa : {Isa::kScalar, Isa::kAvx2, Isa::kAvx512})
    if (kernels::is_supported(isa)) sets.push_back(isa);
  return sets;
}

std::vector<float> gaussian(std::size_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(count);
  for (float& value : values) value = normal(random);
  return values;
}

// Each thread takes its own time and gives its own rate, and Google Benchmark adds the rates up. Its own rates divide
// the sum of what the threads did by the mean of their times, but count the iterations of all of them in each: twice
// too much with two threads.
void fma_peak(benchmark::State& state, Isa isa) {
  using Clock = std::chrono::steady_clock;
  std::optional<Clock::time_point> start;  // once all threads are there
  for (auto _ : state) {
    if (!start) start = Clock::now();
    run_fma_burst(isa);
  }
  const double seconds = std::chrono::duration<double>(Clock::now() - *start).count();
  state.counters["flops"] = benchmark::Counter(fma_burst_flops(isa) * static_cast<double>(state.iterations()) / seconds,
                                               benchmark::Counter::kDefaults, benchmark::Counter::kIs1000);
}

void read_bandwidth(benchmark::State& state) {
  const auto bytes = static_cast<double>(streaming_memory().size());
  for (auto _ : state) read_streaming_memory();
  report_rate(state, "bytes", bytes);
}

// A tile as the join scores it: base panels that fill about 512 KiB of a core's own cache, query panels that stream
// past.
class TileWork {
 public:
  TileWork(const TileKernel& kernel, Metric metric, std::uint32_t dims)
      : kernel_(kernel),
        score_strip_(metric == Metric::kL2 ? kernel.squared_l2 : kernel.inner_product),
        larger_better_(metric != Metric::kL2),
        dims_(dims),
        base_panels_(std::clamp(static_cast<std::uint32_t>(kTileBytes / (sizeof(float) * kernel.base_width * dims)), 1u,
                                2048u / kernel.base_width)),
        queries_(gaussian(std::size_t{kQueryPanels} * kernel.query_width * dims, 1)),
        bases_(gaussian(std::size_t{columns()} * dims, 2)),
        query_thresholds_(kernel.query_width),
        base_thresholds_(columns()),
        partial_(std::size_t{kernel.query_width} * columns()),
        scores_(2 * (partial_.size() + kernels::kSurvivorSlack)),
        pairs_(scores_.size()) {
    set_thresholds(larger_better_ ? kInfinity : -kInfinity);
  }

  // Lets that share of the first panel's scores through, and about that of the others.
  void let_through(double share) {
    set_thresholds(larger_better_ ? -kInfinity : kInfinity);
    const std::uint32_t count = score_panel(0);
    const auto wanted = std::clamp<std::uint32_t>(static_cast<std::uint32_t>(share * count), 1u, count - 1u);
    const auto nth = scores_.begin() + wanted;
    if (larger_better_)
      std::nth_element(scores_.begin(), nth, scores_.begin() + count, std::greater<>());
    else
      std::nth_element(scores_.begin(), nth, scores_.begin() + count);
    set_thresholds(*nth);
  }

  std::uint32_t score() {
    std::uint32_t survivors = 0;
    for (std::uint32_t panel = 0; panel < kQueryPanels; ++panel) survivors += score_panel(panel);
    return survivors;
  }

  double pairs() const { return static_cast<double>(kQueryPanels) * kernel_.query_width * columns(); }
  double flops() const { return 2.0 * pairs() * dims_; }

 private:
  static constexpr std::size_t kTileBytes = 512 * 1024;
  static constexpr std::uint32_t kQueryPanels = 8;
  static constexpr float kInfinity = std::numeric_limits<float>::infinity();

  std::uint32_t columns() const { return base_panels_ * kernel_.base_width; }

  void set_thresholds(float threshold) {
    std::fill(query_thresholds_.begin(), query_thresholds_.end(), threshold);
    std::fill(base_thresholds_.begin(), base_thresholds_.end(), threshold);
  }

  std::uint32_t score_panel(std::uint32_t panel) {
    const Strip strip{queries_.data() + std::size_t{panel} * kernel_.query_width * dims_,
                      bases_.data(),
                      query_thresholds_.data(),
                      base_thresholds_.data(),
                      partial_.data(),
                      dims_,
                      kernel_.query_width,
                      base_panels_,
                      0};
    const std::size_t half = scores_.size() / 2;
    kernels::Survivors for_queries{scores_.data(), pairs_.data(), 0};
    kernels::Survivors for_bases{scores_.data() + half, pairs_.data() + half, 0};
    score_strip_(strip, for_queries, for_bases);
    return for_queries.count;
  }

  const TileKernel& kernel_;
  kernels::ScoreStrip score_strip_;
  bool larger_better_;
  std::uint32_t dims_;
  std::uint32_t base_panels_;
  std::vector<float> queries_, bases_, query_thresholds_, base_thresholds_, partial_, scores_;
  std::vector<std::uint32_t> pairs_;
};

// The fused multiply-add counts as two operations whatever the metric; l2's subtraction is not counted.
void strip(benchmark::State& state, Isa isa, Metric metric, double share_let_through) {
  const TileKernel& kernel = kernels::select_kernel(isa);
  TileWork work(kernel, metric, static_cast<std::uint32_t>(state.range(0)));
  if (share_let_through > 0.0) work.let_through(share_let_through);
  std::optional<ShareOfLimit> share;
  if (isa != Isa::kScalar) share.emplace([isa] { return measure_fma_peak_flops(isa); });
  std::uint32_t survivors = 0;
  for (auto _ : state) benchmark::DoNotOptimize(survivors = work.score());
  if (share) share->report(state, "share_of_fma_peak", work.flops());
  report_rate(state, "flops", work.flops());
  state.counters["survivors"] = survivors / work.pairs();
}

enum class PairWork { kInnerProduct, kL2, kBound };
const char* name_of(PairWork work) { return work == PairWork::kBound ? "bound" : work == PairWork::kL2 ? "l2" : "ip"; }

// Pairs as a first look leaves them: 4% of a panel's query rows and a tile's base rows, panel after panel.
void row_pairs(benchmark::State& state, Isa isa, PairWork work) {
  constexpr std::uint32_t kQueries = 96;
  constexpr std::uint32_t kBases = 576;
  constexpr std::uint32_t kOneIn = 25;
  const TileKernel& kernel = kernels::select_kernel(isa);
  const auto dims = static_cast<std::uint32_t>(state.range(0));
  const std::vector<float> queries = gaussian(std::size_t{kQueries} * dims, 1);
  const std::vector<float> bases = gaussian(std::size_t{kBases} * dims, 2);
  const std::vector<float> factors(kBases, 1.0f);
  std::mt19937 random(3);
  std::vector<std::uint32_t> pairs;
  for (std::uint32_t first = 0; first < kQueries; first += kernel.query_width)
    for (std::uint32_t b = 0; b < kBases; ++b)
      for (std::uint32_t q = first; q < std::min(first + kernel.query_width, kQueries); ++q)
        if (random() % kOneIn == 0) pairs.push_back((q << kernels::kQueryShift) + b);
  const auto count = static_cast<std::uint32_t>(pairs.size());
  std::vector<float> scores(count);
  const auto score = work == PairWork::kL2 ? kernel.squared_l2_of_row_pairs : kernel.inner_product_of_row_pairs;
  for (auto _ : state) {
    if (work == PairWork::kBound)
      kernel.add_pair_products({queries.data(), bases.data(), factors.data(), dims, dims, dims}, pairs.data(), count,
                               scores.data());
    else
      score(queries.data(), bases.data(), dims, pairs.data(), count, scores.data());
    benchmark::ClobberMemory();
  }
  report_rate(state, "flops", 2.0 * count * dims);
}

// Packs panel after panel out of memory that no cache holds.
void pack(benchmark::State& state, Isa isa, bool query) {
  const TileKernel& kernel = kernels::select_kernel(isa);
  const auto dims = static_cast<std::uint32_t>(state.range(0));
  const std::uint32_t width = query ? kernel.query_width : kernel.base_width;
  const std::size_t panel_bytes = std::size_t{width} * dims * sizeof(float);
  std::vector<float> panel(std::size_t{width} * dims);
  const std::span<const std::byte> memory = streaming_memory();
  std::size_t at = 0;
  const ShareOfLimit share(measure_read_bytes_per_second);
  for (auto _ : state) {
    const auto* rows = reinterpret_cast<const float*>(memory.data() + at);
    (query ? kernel.pack_query_panel : kernel.pack_base_panel)(rows, dims, width, dims, panel.data());
    benchmark::ClobberMemory();
    at = at + 2 * panel_bytes <= memory.size() ? at + panel_bytes : 0;
  }
  share.report(state, "share_of_read_bandwidth", static_cast<double>(panel_bytes));
  report_rate(state, "bytes", static_cast<double>(panel_bytes));
}

// Decodes row after row out of memory that no cache holds.
void decode(benchmark::State& state, ElementType type) {
  const auto columns = static_cast<std::size_t>(state.range(0));
  const std::size_t row_bytes = columns * element_bytes(type);
  std::vector<float> values(columns);
  const std::span<const std::byte> memory = streaming_memory();
  std::size_t at = 0;
  const ShareOfLimit share(measure_read_bytes_per_second);
  for (auto _ : state) {
    storage::decode_row(type, memory.data() + at, columns, 0.5f, values.data());
    benchmark::ClobberMemory();
    at = at + 2 * row_bytes <= memory.size() ? at + row_bytes : 0;
  }
  share.report(state, "share_of_read_bandwidth", static_cast<double>(row_bytes));
  report_rate(state, "values", static_cast<double>(columns));
  report_rate(state, "bytes", static_cast<double>(row_bytes));
}

// Prunes full reservoirs of the size that the plan prefers, each of other keys, so that no branch can be learnt.
void prune(benchmark::State& state, Isa isa) {
  constexpr std::size_t kReservoirs = 64;
  const auto kept = static_cast<std::size_t>(state.range(0));
  const std::size_t capacity = kept + std::clamp<std::size_t>(kept / 2, 14, 256);
  const std::size_t most = kept + (capacity - kept) / 8;
  // Scores beyond a threshold, as a full reservoir holds them.
  std::mt19937_64 random(3);
  std::exponential_distribution<float> tail;
  std::vector<std::uint64_t> full(kReservoirs * capacity);
  for (std::uint64_t& key : full)
    key = topk::make_key(true, 3.0f + 0.3f * tail(random), static_cast<std::uint32_t>(random()));
  std::vector<std::uint64_t> keys;
  const kernels::PruneKeys prune_keys = kernels::select_kernel(isa).prune_keys;
  for (auto _ : state) {
    state.PauseTiming();
    keys = full;
    state.ResumeTiming();
    for (std::size_t r = 0; r < kReservoirs; ++r) prune_keys(keys.data() + r * capacity, capacity, kept, most);
    benchmark::ClobberMemory();
  }
  report_rate(state, "keys", static_cast<double>(kReservoirs * capacity));
}

void register_strips(Isa isa, const std::string& set) {
  struct Thresholds {
    const char* name;
    double share_let_through;
  };
  for (const Metric metric : {Metric::kInnerProduct, Metric::kL2})
    for (const Thresholds& thresholds : {Thresholds{"closed", 0.0}, Thresholds{"1%", 0.01}}) {
      const std::string name = "strip/" + set + "/" + std::string(to_string(metric)) + "/" + thresholds.name;
      benchmark::RegisterBenchmark(name.c_str(), strip, isa, metric, thresholds.share_let_through)
          ->ArgName("dims")
          ->RangeMultiplier(2)
          ->Range(8, 4096);
    }
}

void register_all() {
  for (const Isa isa : supported_sets()) {
    const std::string set(to_string(isa));
    if (isa != Isa::kScalar)
      benchmark::RegisterBenchmark(("fma_peak/" + set).c_str(), fma_peak, isa)
          ->ThreadRange(1, std::max(1, benchmark::CPUInfo::Get().num_cpus))
          ->UseRealTime();
    register_strips(isa, set);
    for (const PairWork work : {PairWork::kInnerProduct, PairWork::kL2, PairWork::kBound})
      benchmark::RegisterBenchmark(("row_pairs/" + set + "/" + name_of(work)).c_str(), row_pairs, isa, work)
          ->ArgName("dims")
          ->Arg(160)
          ->Arg(784);
    for (const bool query : {false, true})
      benchmark::RegisterBenchmark(("pack/" + set + (query ? "/query" : "/base")).c_str(), pack, isa, query)
          ->ArgName("dims")
          ->RangeMultiplier(8)
          ->Range(8, 4096);
    benchmark::RegisterBenchmark(("prune/" + set).c_str(), prune, isa)
        ->ArgName("kept")
        ->Arg(1)
        ->Arg(10)
        ->Arg(100)
        ->Arg(200)
        ->Arg(1000);
  }
  benchmark::RegisterBenchmark("read_bandwidth", read_bandwidth)->UseRealTime();
  register_few_query_scans();
  for (const ElementType type :
       {ElementType::kF32, ElementType::kF16, ElementType::kBF16, ElementType::kI8, ElementType::kU8})
    benchmark::RegisterBenchmark(("decode/" + std::string(to_string(type))).c_str(), decode, type)
        ->ArgName("columns")
        ->Arg(128)
        ->Arg(1024);
}

}  // namespace
}  // namespace simtile::bench

int main(int argc, char** argv) {
  simtile::bench::register_all();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::AddCustomContext("compiler", __VERSION__);
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
}
