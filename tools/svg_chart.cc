#include "tools/svg_chart.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace simtile::tools {
namespace {

// In the units of the viewBox; a chart is as wide as the page lets it be.
constexpr double kWidth = 720, kHeight = 240, kLeft = 74, kRight = 14, kTop = 14, kBottom = 30;
constexpr double kPlotWidth = kWidth - kLeft - kRight;
constexpr double kPlotHeight = kHeight - kTop - kBottom;
constexpr int kTicks = 4;

// A number of at least `value` whose quarters are round: 1, 2, 4 or 8 times a power of ten of the largest unit below
// it.
double round_up(double value, double unit_base) {
  if (value <= 0.0) return 1.0;
  const double unit = std::pow(unit_base, std::floor(std::log(value) / std::log(unit_base)));
  const double power = std::pow(10.0, std::floor(std::log10(value / unit)));
  for (const double factor : {1.0, 2.0, 4.0, 8.0})
    if (value <= factor * power * unit) return factor * power * unit;
  return 10.0 * power * unit;
}

std::string text_at(double x, double y, const char* anchor, const std::string& text) {
  return fmt::format(R"(<text x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>)", x, y, anchor, escape_html(text));
}

std::string line(double x1, double y1, double x2, double y2, const char* css_class) {
  return fmt::format(R"(<line class="{}" x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}"/>)", css_class, x1, y1, x2,
                     y2);
}

std::string open_svg(double height, const std::string& label) {
  return fmt::format(R"(<svg viewBox="0 0 {:.0f} {:.0f}" role="img" aria-label="{}">)", kWidth, height,
                     escape_html(label));
}

struct Scale {
  double seconds, top;
  double x(double at) const { return kLeft + kPlotWidth * at / seconds; }
  double y(double value) const { return kTop + kPlotHeight * (1.0 - std::clamp(value / top, 0.0, 1.0)); }
};

std::string points(const Scale& scale, const std::vector<double>& seconds, const std::vector<double>& values) {
  std::string out;
  for (std::size_t i = 0; i < values.size(); ++i)
    out += fmt::format("{:.1f},{:.1f} ", scale.x(seconds[i]), scale.y(values[i]));
  return out;
}

std::string axes(const LineChart& chart, const Scale& scale) {
  std::string out;
  for (int tick = 0; tick <= kTicks; ++tick) {
    const double value = scale.top * tick / kTicks;
    out += line(kLeft, scale.y(value), kWidth - kRight, scale.y(value), "grid");
    out += text_at(kLeft - 6, scale.y(value) + 4, "end", chart.format(value));
    const double at = scale.seconds * tick / kTicks;
    out += text_at(scale.x(at), kHeight - 10, tick == kTicks ? "end" : "middle", fmt::format("{:.3g} s", at));
  }
  return out;
}

std::string legend(const LineChart& chart) {
  std::string out = "<p class=\"legend\">";
  for (const std::vector<Curve>* curves : {&chart.layers, &chart.lines})
    for (const Curve& curve : *curves)
      out += fmt::format("<span><i class=\"{}\"></i>{}</span>", curve.css_class, escape_html(curve.name));
  if (chart.limit > 0.0) out += "<span><i class=\"limit\"></i>" + escape_html(chart.limit_name) + "</span>";
  return out + "</p>";
}

// From pale to dark, through a few stops that stay apart for colour-blind eyes.
std::string heat_colour(double share) {
  static constexpr double kStops[][3] = {{253, 231, 160}, {94, 201, 130}, {33, 145, 140}, {59, 82, 139}, {68, 1, 84}};
  const double at = std::clamp(share, 0.0, 1.0) * 4.0;
  const auto stop = std::min<std::size_t>(3, static_cast<std::size_t>(at));
  const double part = at - static_cast<double>(stop);
  const auto mix = [&](int c) { return kStops[stop][c] + part * (kStops[stop + 1][c] - kStops[stop][c]); };
  return fmt::format("#{:02x}{:02x}{:02x}", static_cast<int>(mix(0)), static_cast<int>(mix(1)),
                     static_cast<int>(mix(2)));
}

}  // namespace

std::string escape_html(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '&')
      out += "&amp;";
    else if (c == '<')
      out += "&lt;";
    else if (c == '>')
      out += "&gt;";
    else if (c == '"')
      out += "&quot;";
    else
      out += c;
  }
  return out;
}

std::string draw(const LineChart& chart) {
  std::vector<double> below(chart.seconds.size(), 0.0);
  double highest = std::max(chart.top, chart.limit);
  std::vector<std::vector<double>> edges;
  for (const Curve& layer : chart.layers) {
    for (std::size_t i = 0; i < below.size(); ++i) below[i] += layer.values[i];
    edges.push_back(below);
  }
  for (const double value : below) highest = std::max(highest, value);
  for (const Curve& curve : chart.lines)
    for (const double value : curve.values) highest = std::max(highest, value);
  const Scale scale{std::max(chart.seconds.empty() ? 0.0 : chart.seconds.back(), 1e-6),
                    chart.top > 0.0 && highest <= chart.top ? chart.top : round_up(highest, chart.unit_base)};

  std::string out = open_svg(kHeight, chart.layers.empty() ? chart.lines.front().name : chart.layers.front().name);
  out += axes(chart, scale);
  for (std::size_t i = edges.size(); i-- > 0 && !chart.seconds.empty();)  // the highest first, the others over it
    out += fmt::format(R"(<polygon class="{}" points="{}{:.1f},{:.1f} {:.1f},{:.1f}"/>)", chart.layers[i].css_class,
                       points(scale, chart.seconds, edges[i]), scale.x(chart.seconds.back()), scale.y(0.0),
                       scale.x(chart.seconds.front()), scale.y(0.0));
  for (const Curve& curve : chart.lines)
    out += fmt::format(R"(<polyline class="{}" points="{}"/>)", curve.css_class,
                       points(scale, chart.seconds, curve.values));
  if (chart.limit > 0.0) out += line(kLeft, scale.y(chart.limit), kWidth - kRight, scale.y(chart.limit), "limit");
  return out + "</svg>" + legend(chart);
}

std::string draw(const HeatMap& map) {
  const double largest = *std::max_element(map.values.begin(), map.values.end());
  const double side = std::min(kPlotWidth, 480.0);
  const double cell_width = side / static_cast<double>(map.columns);
  const double height = std::clamp(cell_width * static_cast<double>(map.rows), side / 4, side);
  const double cell_height = height / static_cast<double>(map.rows);
  std::string out = open_svg(kTop + height + kBottom, map.row_name + " by " + map.column_name);
  out += fmt::format(R"(<rect class="nothing" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"/>)", kLeft, kTop,
                     side, height);
  for (std::size_t i = 0; i < map.values.size(); ++i) {
    if (map.values[i] < 0.0) continue;
    out +=
        fmt::format(R"(<rect x="{:.2f}" y="{:.2f}" width="{:.2f}" height="{:.2f}" fill="{}"><title>{}</title></rect>)",
                    kLeft + cell_width * static_cast<double>(i % map.columns),
                    kTop + cell_height * static_cast<double>(i / map.columns), cell_width, cell_height,
                    heat_colour(largest > 0.0 ? map.values[i] / largest : 0.0), escape_html(map.format(map.values[i])));
  }
  out += text_at(kLeft, kTop + height + 18, "start", map.column_name);
  out += fmt::format(R"svg(<text transform="translate({:.1f},{:.1f}) rotate(-90)" text-anchor="end">{}</text>)svg",
                     kLeft - 10, kTop, escape_html(map.row_name));
  const double legend_x = kLeft + side + 30;
  for (int step = 0; step <= 10; ++step)
    out += fmt::format(R"(<rect x="{:.1f}" y="{:.1f}" width="16" height="11" fill="{}"/>)", legend_x,
                       kTop + 11.0 * (10 - step), heat_colour(step / 10.0));
  out += text_at(legend_x + 22, kTop + 10, "start", map.format(std::max(largest, 0.0)));
  out += text_at(legend_x + 22, kTop + 120, "start", map.format(0.0));
  return out + "</svg>";
}

std::string draw_bars(const std::vector<Bar>& bars) {
  constexpr double kNames = 210, kValues = 200, kBarHeight = 24, kStep = 34;
  double largest = 10.0;
  for (const Bar& bar : bars) largest = std::max(largest, bar.value);
  const double width = kWidth - kNames - kValues;
  std::string out = open_svg(kTop + kStep * static_cast<double>(bars.size()), "bars");
  double y = kTop;
  for (const Bar& bar : bars) {
    const double share = bar.value > 1.0 ? std::log(bar.value) / std::log(largest) : 0.0;
    out += text_at(kNames - 10, y + 16, "end", bar.name);
    out += fmt::format(R"(<rect class="bar" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"/>)", kNames, y,
                       std::max(1.0, share * width), kBarHeight);
    out += text_at(kNames + std::max(1.0, share * width) + 8, y + 16, "start", bar.text);
    y += kStep;
  }
  return out + "</svg>";
}

}  // namespace simtile::tools
