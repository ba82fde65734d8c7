// Charts as inline SVG: what the page of a job report is made of. All text is escaped here.
#pragma once

#include <string>
#include <vector>

namespace simtile::tools {

std::string escape_html(const std::string& text);

// A curve over time, or the upper edge of a layer: the area below it is filled down to the layer before.
struct Curve {
  std::string name{};
  std::string css_class{};
  std::vector<double> values{};
};

struct LineChart {
  std::vector<double> seconds{};  // of each value; ascending
  std::vector<Curve> layers{};    // filled, each on top of the one before: values are the layers' own, not sums
  std::vector<Curve> lines{};
  double limit = 0.0;  // a dashed line at this height; 0: none
  std::string limit_name{};
  double top = 0.0;                               // the axis goes at least so far
  double unit_base = 1000.0;                      // ticks are round in powers of this: 1024 for bytes
  std::string (*format)(double value) = nullptr;  // of the axis' values
};
std::string draw(const LineChart& chart);

struct HeatMap {
  std::size_t rows = 0, columns = 0;
  std::vector<double> values{};  // row by row; negative: nothing there
  std::string row_name{}, column_name{};
  std::string (*format)(double value) = nullptr;
};
std::string draw(const HeatMap& map);

struct Bar {
  std::string name{};
  double value = 0.0;
  std::string text{};
};
// Horizontal bars on a logarithmic axis from one to the largest value.
std::string draw_bars(const std::vector<Bar>& bars);

}  // namespace simtile::tools
