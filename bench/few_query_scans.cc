#include "bench/few_query_scans.h"

#include <unistd.h>

#include <filesystem>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "bench/share_of_limit.h"
#include "simtile/import.h"
#include "simtile/searcher.h"

namespace simtile::bench {
namespace {

// Larger than any cache in the narrowest type.
constexpr std::uint64_t kValues = std::uint64_t{256} << 20;

// A matrix file that is removed as soon as it is mapped. All its pages are there and its blocks checked: what is
// measured is the scan.
Searcher make_searcher(ElementType type, std::uint64_t dims) {
  const std::filesystem::path path =
      std::filesystem::temp_directory_path() / ("simtile-bench-" + std::to_string(::getpid()) + ".emb");
  generate_matrix(path.string(), {.rows = kValues / dims, .dims = dims, .element_type = type});
  Searcher searcher(path.string(), {.mode = OpenMode::kFull, .warm = Warm::kFull, .threads = 1});
  std::filesystem::remove(path);
  return searcher;
}

// The benchmarks of one shape follow each other, and one file at a time is enough.
const Searcher& searcher_of(ElementType type, std::uint64_t dims) {
  static std::unique_ptr<Searcher> searcher;
  static std::pair<ElementType, std::uint64_t> shape;
  if (!searcher || shape != std::pair(type, dims)) {
    searcher.reset();
    searcher = std::make_unique<Searcher>(make_searcher(type, dims));
    shape = {type, dims};
  }
  return *searcher;
}

void few_queries(benchmark::State& state, ElementType type) {
  const auto dims = static_cast<std::uint64_t>(state.range(0));
  const auto queries = static_cast<std::size_t>(state.range(1));
  const auto top_k = static_cast<std::uint64_t>(state.range(2));
  const Searcher& searcher = searcher_of(type, dims);
  std::mt19937 random(7);
  std::normal_distribution<float> normal;
  std::vector<float> vectors(queries * dims);
  for (float& value : vectors) value = normal(random);
  std::vector<SearchQuery> wanted;
  for (std::size_t q = 0; q < queries; ++q)
    wanted.push_back({.vector = std::span(vectors).subspan(q * dims, dims), .top_k = top_k});
  SearchResults results;
  searcher.search(wanted, Metric::kInnerProduct, results);  // makes the room
  const auto rows = static_cast<double>(searcher.rows());
  const double bytes = rows * static_cast<double>(dims * element_bytes(type));
  const ShareOfLimit share(measure_read_bytes_per_second);
  for (auto _ : state) searcher.search(wanted, Metric::kInnerProduct, results);
  share.report(state, "share_of_read_bandwidth", bytes);
  report_rate(state, "bytes", bytes);
  report_rate(state, "rows", rows);
}

}  // namespace

void register_few_query_scans() {
  for (const ElementType type :
       {ElementType::kF32, ElementType::kF16, ElementType::kBF16, ElementType::kI8, ElementType::kU8})
    benchmark::RegisterBenchmark(("few_queries/" + std::string(to_string(type))).c_str(), few_queries, type)
        ->ArgNames({"dims", "queries", "k"})
        ->ArgsProduct({{128, 768}, {1, 4, 16, 64}, {10}})
        ->Args({768, 1, 1})
        ->Args({768, 1, 1000});
}

}  // namespace simtile::bench
