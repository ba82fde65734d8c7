// A coarse clustering of a matrix's rows by their first coordinates in a screen: likely neighbours side by side.
//
// A few of Lloyd's iterations (k-means) on a sample, then every row goes to its nearest centre. Nothing of an answer
// depends on it: it only finds where to look first.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/kernels/tile_kernel.h"
#include "engine/screen/row_products.h"
#include "engine/screen/screen_rows.h"

namespace simtile::screen {

struct ClusterOptions {
  std::uint64_t clusters = 1;
  std::uint64_t dims = 0;  // first coordinates, a multiple of kScreenStep
  bool unit_norm = false;  // of the rows scaled to norm one
  Workers workers;         // once they are stopped, rows go to any cluster
};

class Centres {
 public:
  Centres(PageBudget& budget, const kernels::TileKernel& kernel, ScreenRows& rows, const ClusterOptions& options);

  std::uint64_t count() const noexcept { return count_; }
  // The nearest centre of every row of a side's screen.
  std::vector<std::uint32_t> assign(ScreenRows& rows) const;
  // All centres, the nearest to `centre` (itself) first.
  std::vector<std::uint32_t> by_distance_from(std::uint64_t centre) const;

 private:
  void assign_piece(const float* coordinates, std::uint64_t rows, PanelScratch& scratch, float* products,
                    std::uint32_t* nearest) const;
  void set_centre(std::uint64_t centre, const float* coordinates);
  void improve(const std::vector<float>& sample);
  void read_coordinates(ScreenRows& rows, std::uint64_t first, std::uint64_t count, float* coordinates) const;

  const kernels::TileKernel* kernel_;
  ClusterOptions options_;
  std::uint64_t count_;
  std::uint64_t stride_;       // coordinates and a one, whose partner is minus half the centre's squared norm
  std::vector<float> values_;  // count x stride
  PackedRows packed_;
};

// Rows by cluster: those of cluster c are rows[starts[c]] .. rows[starts[c + 1]], ascending.
struct RowsByCluster {
  RowsByCluster(const std::vector<std::uint32_t>& cluster_of_row, std::uint64_t clusters);
  std::vector<std::uint64_t> starts;
  std::vector<std::uint32_t> rows;
};

}  // namespace simtile::screen
