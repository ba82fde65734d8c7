// How a job went, for a picture of it (`simtile report`): some hundred samples over time, and a map of its tiles.
#pragma once

#include <cstdint>
#include <vector>

namespace simtile {

struct RunSeries {
  // What had been done at a moment; all but the two sizes only grow.
  struct Sample {
    double seconds = 0.0;          // since this process began the job
    double fraction_done = 0.0;    // of the pairs, an earlier process's included
    double seconds_scoring = 0.0;  // of all workers together, in tiles
    std::uint64_t rss_anon_bytes = 0, rss_file_bytes = 0;
    std::uint64_t bytes_read = 0;
  };
  std::vector<Sample> samples;

  // Query rows down, base rows across, in at most 64 x 64 cells, row by row; a tile counts in the cell of its first
  // rows.
  std::uint64_t map_rows = 0, map_columns = 0;
  std::vector<double> map_seconds;       // of the cell's tiles together
  std::vector<std::uint32_t> map_tiles;  // how many those were
};

}  // namespace simtile
