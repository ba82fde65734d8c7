// search_batch BASE.emb QUERIES.emb TOP_K ROUNDS: seconds of Searcher::search for all queries at once, a line a round;
// what bench/python holds the Python module against. The results are copied into arrays, as Python's are.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "simtile/error.h"
#include "simtile/searcher.h"

int main(int argc, char** argv) try {
  if (argc != 5) {
    std::fputs("usage: search_batch BASE.emb QUERIES.emb TOP_K ROUNDS\n", stderr);
    return 2;
  }
  const simtile::Searcher searcher(argv[1]);
  const simtile::Matrix query_file(argv[2]);
  const auto columns = static_cast<std::size_t>(query_file.columns());
  std::vector<float> queries(static_cast<std::size_t>(query_file.rows()) * columns);
  for (std::size_t row = 0; row * columns < queries.size(); ++row)
    query_file.read_row(row, {queries.data() + row * columns, columns});
  const auto top_k = static_cast<std::uint64_t>(std::atoi(argv[3]));
  for (int round = 0; round < std::atoi(argv[4]); ++round) {
    const auto start = std::chrono::steady_clock::now();
    const simtile::SearchResults results = searcher.search(queries, top_k);
    std::vector<std::uint64_t> rows;
    std::vector<float> scores;
    for (std::uint64_t query = 0; query < results.queries(); ++query)
      for (const simtile::Neighbour& neighbour : results[query]) {
        rows.push_back(neighbour.row);
        scores.push_back(neighbour.score);
      }
    std::printf("%.6f\n", std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  return 0;
} catch (const simtile::Error& error) {
  std::fprintf(stderr, "search_batch: %s\n", error.what());
  return static_cast<int>(error.code());
}
