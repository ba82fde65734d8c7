#include "engine/join/series_recorder.h"

#include <algorithm>
#include <utility>

namespace simtile::join {
namespace {

// How many of `rows` stand for one cell: whole tiles, so that each cell has about as many.
std::uint64_t rows_a_cell(std::uint64_t rows, std::uint64_t tile_rows, std::uint64_t most_cells) {
  const std::uint64_t tiles = std::max<std::uint64_t>(1, (rows + tile_rows - 1) / tile_rows);
  return tile_rows * ((tiles + most_cells - 1) / most_cells);
}

}  // namespace

SeriesRecorder::SeriesRecorder(const plan::Shapes& shapes, const plan::TilePlan& plan)
    : rows_of_cell_(rows_a_cell(shapes.query_rows, plan.stripe_rows, kMostCells)),
      columns_of_cell_(rows_a_cell(shapes.base_rows, plan.tile_columns, kMostCells)) {
  series_.map_rows = (shapes.query_rows + rows_of_cell_ - 1) / rows_of_cell_;
  series_.map_columns = (shapes.base_rows + columns_of_cell_ - 1) / columns_of_cell_;
  series_.map_seconds.resize(series_.map_rows * series_.map_columns);
  series_.map_tiles.resize(series_.map_seconds.size());
  series_.samples.reserve(kMostSamples);
}

void SeriesRecorder::add_tile(const plan::Tile& tile, double seconds) noexcept {
  const std::uint64_t cell =
      tile.query_begin / rows_of_cell_ * series_.map_columns + tile.base_begin / columns_of_cell_;
  series_.map_seconds[cell] += seconds;
  ++series_.map_tiles[cell];
  seconds_scoring_ += seconds;
}

void SeriesRecorder::add_sample(RunSeries::Sample sample) {
  if (samples_offered_++ % samples_kept_each_ != 0) return;
  sample.seconds_scoring = seconds_scoring_;
  std::vector<RunSeries::Sample>& samples = series_.samples;
  if (samples.size() == kMostSamples) {
    for (std::size_t i = 0; 2 * i < samples.size(); ++i) samples[i] = samples[2 * i];
    samples.resize(samples.size() / 2);
    samples_kept_each_ *= 2;
  }
  samples.push_back(sample);
}

RunSeries SeriesRecorder::finish(const RunSeries::Sample& last) {
  samples_offered_ = 0;
  add_sample(last);
  return std::move(series_);
}

}  // namespace simtile::join
