// Makes a small matrix, joins it and reads the answer: every installed header and every library behind them is used.
#include <simtile/byte_size.h>
#include <simtile/error.h>
#include <simtile/import.h>
#include <simtile/job.h>
#include <simtile/matrix.h>
#include <simtile/neighbours.h>
#include <simtile/verify.h>

#include <iostream>

int main() try {
  simtile::GenerateOptions shape;
  shape.rows = 300;
  shape.dims = 16;
  simtile::generate_matrix("points.emb", shape);

  simtile::JobOptions options;
  options.top_k = 3;
  options.budget_bytes = simtile::parse_byte_size("256MiB");
  simtile::run_job({"points.emb", ""}, "points.knn", options);

  const simtile::Neighbours neighbours("points.knn");
  for (const simtile::Neighbour& neighbour : neighbours.row(0))
    std::cout << neighbours.base_id(neighbour.row) << ' ' << neighbour.score << '\n';
  const bool whole = simtile::verify_file("points.knn").bytes == neighbours.info().file_bytes;
  return whole && neighbours.row(0).size() == 3 && simtile::Matrix("points.emb").rows() == 300 ? 0 : 1;
} catch (const simtile::Error& error) {
  std::cerr << error.what() << '\n';
  return static_cast<int>(error.code());
}
