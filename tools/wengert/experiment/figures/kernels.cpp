// Kernels under a core's roof, and the speed-up by threads.
#include <algorithm>
#include <cmath>
#include <numbers>

#include <fmt/format.h>

#include "../figures.hpp"
#include "../formatting.hpp"
#include "../implementations.hpp"
#include "axes.hpp"

namespace wengert::command::experiment {

std::vector<Figure> ladder_figures(const Results& results) {
  Ladder all = ladder(results);
  if (all.kernels.empty()) return {};
  const bool roofed = all.peak_gflops > 0 && all.gigabytes_per_second > 0;
  const double ridge = all.peak_gflops / all.gigabytes_per_second;
  Range x, y;
  for (const LadderPoint& point : all.kernels) {
    x.take(point.intensity());
    y.take(point.gflops());
  }
  if (roofed) {
    x.take(ridge);
    y.take(all.peak_gflops);
  }
  x = x.widened(4, 8);
  y = y.widened(2, 2);
  constexpr double left = panel_left, right = panel_right, top = 44, bottom = 382;
  Sketch sketch("ladder", usual_width, 444);
  sketch.title("The second convolution forward, one core");
  sketch.panel(left, top, right, bottom);
  sketch.add(log_axis('x', x));
  sketch.add(log_axis('y', y));
  sketch.x_axis("FLOP a byte from memory");
  sketch.y_axis("GFLOP/s");
  std::vector<std::string> parts;
  if (roofed) {
    const double slope = std::atan((bottom - top) / std::log10(y.high / y.low) / ((right - left) / std::log10(x.high / x.low)));
    const double start = std::max(x.low, y.low / all.gigabytes_per_second);
    parts.push_back(sketch.data(fmt::format("{:g} {:g}\n{:g} {:g}\n{:g} {:g}\n", start, all.roof(start), ridge, all.peak_gflops, x.high,
                                            all.peak_gflops)) +
                    " using 1:2 with lines lw 2.5 lc rgb '#555555'");
    sketch.add(fmt::format("set label {} at {:g},{:g} left offset 0,0.7", script_text(significant(all.peak_gflops) + " GFLOP/s"), ridge,
                           all.peak_gflops));
    const double middle = std::sqrt(start * ridge);
    sketch.add(fmt::format("set label {} at {:g},{:g} center offset -0.6,0.6 rotate by {:.0f}",
                           script_text(significant(all.gigabytes_per_second) + " GB/s"), middle, all.roof(middle),
                           slope * 180 / std::numbers::pi));
  }
  std::string points, names;
  for (const LadderPoint& point : all.kernels)
    points += fmt::format("{:g} {:g} {}\n", point.intensity(), point.gflops(), colour_number(colour(point.kernel)));
  // Names stand to the right of the points, from below, each at least a line above the one before.
  std::sort(all.kernels.begin(), all.kernels.end(), [](const LadderPoint& a, const LadderPoint& b) { return a.gflops() < b.gflops(); });
  const double a_line = std::pow(y.high / y.low, 19 / (bottom - top));
  double lowest = 0;
  for (const LadderPoint& point : all.kernels) {
    const double height = std::max(point.gflops(), lowest);
    names += fmt::format("{:g} {:g} {}\n", point.intensity(), height,
                         data_text(fmt::format("{}, {}", point.kernel, significant(point.gflops()))));
    lowest = height * a_line;
  }
  parts.push_back(sketch.data(points) + " using 1:2:3 with points pt 7 ps 1.5*dot lc rgb variable");
  parts.push_back(sketch.data(names) + " using 1:2:3 with labels left offset 1.2,0 font ',14'");
  plot(sketch, parts);
  return {{"ladder",
           "Roofline: the speed of each kernel against the operations that it does for each byte it must move, and what one core "
           "can do at most. Batch 64, or 8 in a quick run.",
           std::move(sketch)}};
}

std::vector<Figure> scaling_figures(const Results& results) {
  int most = 1;
  double best = 1;
  Sketch sketch("scaling", usual_width, 384);
  std::vector<std::string> parts;
  std::vector<Entry> legend;
  const std::vector<ScalingCurve> all = scaling_curves(results);
  for (std::size_t i = 0; i < all.size(); ++i) {
    const ScalingCurve& curve = all[i];
    std::string measured, fitted;
    for (std::size_t j = 0; j < curve.ms.size(); ++j) {
      measured += fmt::format("{} {:g}\n", curve.ms[j].first, curve.speed_up(j));
      best = std::max(best, curve.speed_up(j));
      most = std::max(most, curve.ms[j].first);
    }
    const std::string look = look_of(curve.implementation, i);
    parts.push_back(fmt::format("{} using 1:2 with points ps 1.3*dot {}", sketch.data(measured), look));
    legend.push_back({look, curve.name()});
    if (std::isnan(curve.serial)) continue;
    constexpr int steps = 60;
    for (int s = 0; s <= steps; ++s) {
      const double threads = 1 + (curve.ms.back().first - 1) * static_cast<double>(s) / steps;
      fitted += fmt::format("{:g} {:g}\n", threads, curve.amdahl(threads));
    }
    parts.push_back(fmt::format("{} using 1:2 with lines lw 2 {}", sketch.data(fitted), look));
  }
  if (most == 1) return {};
  parts.insert(parts.begin(), sketch.data(fmt::format("1 1\n{0} {0}\n", most)) + " using 1:2 with lines lw 2 dt 2 lc rgb '#888888'");
  sketch.title("Speed-up against threads");
  constexpr double right = 330;
  sketch.panel(panel_left, 44, right, 322);
  sketch.legend(legend, right + 26, 90);
  sketch.add(fmt::format("set label 'ideal' at {0},{0} left offset 1,0 tc rgb '#666666'", most));
  sketch.x_axis("threads");
  sketch.y_axis("times as fast as one thread");
  const double top = std::max<double>(most, best) + 0.05 * most;
  sketch.add(fmt::format("set xrange [{:g}:{:g}]; set yrange [0:{:g}]", 1 - 0.03 * most, 1.03 * most, top));
  constexpr int most_tics = 16;
  if (most <= most_tics) sketch.add("set xtics 1");
  plot(sketch, parts);
  return {{"scaling",
           is_fitted(all)
               ? "Speed-up against threads, batch 64: points are measured, curves are Amdahl's law fitted to them."
               : "Speed-up against threads, batch 64: points are measured. With two numbers of threads Amdahl's law, the curve, goes "
                 "through both, whatever they are.",
           std::move(sketch)}};
}

}  // namespace wengert::command::experiment
