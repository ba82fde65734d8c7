// Records a RunSeries while a job runs, in memory that is there before the first tile: a tile costs two additions, and
// samples are taken when the memory sampler takes its own. When the room is full, every other sample goes, and from
// then on only every second is kept.
//
// Threads: one at a time.
#pragma once

#include <cstdint>

#include "engine/plan/tile_plan.h"
#include "simtile/run_series.h"

namespace simtile::join {

class SeriesRecorder {
 public:
  SeriesRecorder(const plan::Shapes& shapes, const plan::TilePlan& plan);

  void add_tile(const plan::Tile& tile, double seconds) noexcept;
  // The sample's seconds_scoring is filled in here.
  void add_sample(RunSeries::Sample sample);
  // The last sample is kept whatever the rhythm.
  RunSeries finish(const RunSeries::Sample& last);

 private:
  static constexpr std::size_t kMostSamples = 512;
  static constexpr std::uint64_t kMostCells = 64;

  RunSeries series_;
  double seconds_scoring_ = 0.0;
  std::uint64_t rows_of_cell_, columns_of_cell_;
  std::uint64_t samples_offered_ = 0;
  std::uint64_t samples_kept_each_ = 1;
};

}  // namespace simtile::join
