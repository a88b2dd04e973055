// Cuts a direct convolution into tiles: done once, when a kernel is made. Timed as a part of conv_dense.cpp.
#include <wengert/backends/direct/conv_lower.hpp>

#include <algorithm>
#include <functional>
#include <tuple>

namespace wengert::direct {
namespace {

constexpr Index tile_pixels[] = {24, 20, 16, 14, 12, 10, 8, 6, 4, 2, 1};
constexpr Index tile_taps[] = {7, 5, 3, 2, 1};

// Widths of tiles that make up a run of n taps, as few as possible.
std::vector<Index> cut(Index n) {
  for (const Index k : tile_taps)
    if (n % k == 0 && (k > 1 || n == 1)) return std::vector<Index>(static_cast<std::size_t>(n / k), k);
  std::vector<Index> widths;
  while (n > 7) widths.push_back(5), n -= 5;
  for (const Index k : cut(n)) widths.push_back(k);
  return widths;
}

struct Cover {
  double cost = 0;
  std::vector<PlacedTile> tiles;
};

// A row covered by tiles, by dynamic programming over their cost in cycles (multiply-adds, at least 8 chains of them; loads; loop). A row
// that is written once may end with a tile that is shifted back and computes some pixels twice.
Cover cover(const TileSet& set, Index width, TileKind kind, bool may_overlap) {
  const auto cost = [&](Index pixels) {
    const double chains = static_cast<double>(pixels * kind.vectors), adds = chains * static_cast<double>(kind.taps);
    const double loads = static_cast<double>(pixels + kind.taps - 1 + kind.vectors * kind.taps);
    return (chains >= 16 ? 1.0 : chains >= 10 ? 1.1 : 10.0 / chains + 0.1) * adds + 0.5 * loads + 6;
  };
  const auto size = static_cast<std::size_t>(width) + 1;
  std::vector<double> best(size, 1e30);
  std::vector<Index> tile(size);
  best[0] = 0;
  for (Index w = 1; w <= width; ++w)
    for (const Index pixels : tile_pixels) {
      kind.pixels = pixels;
      if ((pixels > w && !(may_overlap && pixels <= width)) || set.pick(kind) == nullptr) continue;
      const double c = best[static_cast<std::size_t>(std::max<Index>(0, w - pixels))] + cost(pixels);
      if (c < best[static_cast<std::size_t>(w)]) best[static_cast<std::size_t>(w)] = c, tile[static_cast<std::size_t>(w)] = pixels;
    }
  Cover made;
  made.cost = best.back();
  if (made.cost >= 1e30) return made;  // no such tiles
  for (Index w = width; w > 0; w -= tile[static_cast<std::size_t>(w)]) {
    kind.pixels = tile[static_cast<std::size_t>(w)];
    made.tiles.push_back({std::max<Index>(0, w - kind.pixels), set.pick(kind)});
  }
  std::reverse(made.tiles.begin(), made.tiles.end());
  return made;
}

using Runs = std::vector<std::vector<Tap>>;

std::vector<Index> widths_of(const Runs& runs) {
  std::vector<Index> widths;
  for (const auto& run : runs)
    if (std::find(widths.begin(), widths.end(), static_cast<Index>(run.size())) == widths.end())
      widths.push_back(static_cast<Index>(run.size()));
  if (widths.empty()) widths.push_back(1);  // nothing to add: the outputs are the bias
  return widths;
}

double cost_of(const TileSet& set, const TilePass& pass, const TileInput& in, const std::vector<Index>& widths, Index vectors) {
  double cost = 0;
  for (const Index taps : widths) {
    const TileKind kind{taps, 1, vectors, LaneUse::plain, in.pixel};
    cost += cover(set, pass.out_width, kind, widths.size() == 1).cost;
  }
  return cost;
}

// Which filters go together.
std::vector<FilterGroup> group_filters(const TileSet& set, const TilePass& pass, const Lowered& lowered, const std::vector<Index>& widths) {
  const Index lanes = set.lanes, padded = planes_of(lowered.filters) * plane_channels;
  std::vector<FilterGroup> groups;
  const auto add = [&](Index first, Index vectors, LaneUse use) {
    FilterGroup group;
    group.first = first, group.vectors = vectors, group.use = use;
    group.rows = use == LaneUse::row_pairs ? 2 : 1;
    groups.push_back(group);
  };
  Index first = 0;
  if (lowered.in.row_pairs) {
    add(0, 1, LaneUse::row_pairs);
    return groups;
  }
  const bool two = padded >= 2 * lanes && cost_of(set, pass, lowered.in, widths, 2) < 1.95 * cost_of(set, pass, lowered.in, widths, 1);
  for (; two && padded - first >= 2 * lanes; first += 2 * lanes) add(first, 2, LaneUse::plain);
  for (; padded - first >= lanes; first += lanes) add(first, 1, LaneUse::plain);
  if (first < padded) {  // 8 filters for 16 lanes
    if (lowered.in.planar) add(padded - lanes, 1, LaneUse::plain);
    else add(first, 1, LaneUse::channel_pairs);
  }
  return groups;
}

// The plain weight's index of (output channel, input channel, ky, kx).
using WeightAt = std::function<Index(Index, Index, Index, Index)>;

void fill_group(const TileSet& set, const TilePass& pass, const Runs& runs, const std::vector<Index>& widths, const WeightAt& weight,
                Lowered& to, FilterGroup& group) {
  const Index lanes = set.lanes;
  const auto filter_at = [&](Index vector, Index lane) {
    return group.first + (group.use == LaneUse::plain ? vector * lanes + lane : lane / 2);
  };
  group.lanes = static_cast<Index>(to.filter_of_lane.size());
  for (Index v = 0; v < group.vectors; ++v)
    for (Index l = 0; l < lanes; ++l) {
      const Index filter = filter_at(v, l);
      to.filter_of_lane.push_back(filter < to.filters ? static_cast<std::int32_t>(filter) : -1);
    }
  const TileInput& in = to.in;
  const Index step = group.use == LaneUse::channel_pairs ? 2 : 1, per_plane = in.planar ? 1 : plane_channels;
  for (const Index taps : widths) {
    Stage stage;
    stage.first_weight = static_cast<Index>(to.source.size());
    stage.tiles = cover(set, pass.out_width, {taps, 1, group.vectors, group.use, in.pixel}, widths.size() == 1).tiles;
    for (const auto& run : runs) {
      if (static_cast<Index>(run.size()) != taps) continue;
      for (Index p = 0; p < in.planes(); ++p) {
        const Index count = std::min(per_plane, in.channels - p * per_plane);
        stage.segments.push_back({static_cast<std::int32_t>(p * in.plane + in.at(run[0].y, run[0].x)), static_cast<std::int32_t>(count)});
        for (Index i = 0; i < count; i += step)
          for (const Tap& tap : run)
            for (Index v = 0; v < group.vectors; ++v)
              for (Index l = 0; l < lanes; ++l) {
                const Index filter = filter_at(v, l), channel = p * per_plane + i + (step == 2 ? l % 2 : 0);
                const bool none = filter >= to.filters || channel >= in.channels;
                to.source.push_back(none ? -1 : static_cast<std::int32_t>(weight(filter, channel, tap.ky, tap.kx)));
              }
      }
    }
    if (pass.tap_rows > 0) {
      stage.segments_per_row = static_cast<Index>(stage.segments.size()) / pass.tap_rows;
      stage.weights_per_row = (static_cast<Index>(to.source.size()) - stage.first_weight) / pass.tap_rows;
    }
    group.stages.push_back(std::move(stage));
  }
}

void fill_passes(Lowered& to, const WeightAt& weight) {
  const TileSet set = tile_set();
  for (TilePass& pass : to.passes) {
    if (pass.out_height <= 0 || pass.out_width <= 0) continue;
    const Runs runs = tap_runs(pass, to.in);
    if (!runs.empty()) {
      pass.first_tap = runs.front().front().y;
      std::vector<Index> rows;
      for (const auto& run : runs)
        if (rows.empty() || rows.back() != run.front().y) rows.push_back(run.front().y);
      pass.tap_rows = static_cast<Index>(rows.size());
      pass.tap_step = rows.size() > 1 ? rows[1] - rows[0] : 1;
    }
    const std::vector<Index> widths = widths_of(runs);
    pass.groups = group_filters(set, pass, to, widths);
    for (FilterGroup& group : pass.groups) fill_group(set, pass, runs, widths, weight, to, group);
  }
}

// A 1x1 convolution sees its pixels as rows as the tiles like them.
bool reshapes(const ConvGeometry& g) {
  return g.kernel_height * g.kernel_width * g.stride_height * g.stride_width == 1 && g.pad_top + g.pad_left == 0 &&
         g.out_height == g.height && g.out_width == g.width;
}

Index wide_row(Index pixels) {
  Index width = 1;
  for (Index w = 1; w <= std::min<Index>(pixels, 128); ++w)
    if (pixels % w == 0) width = w;
  return width;
}

}  // namespace

std::vector<std::vector<Tap>> tap_runs(const TilePass& pass, const TileInput& in) {
  std::vector<Tap> taps = pass.taps;
  const Index stride = in.stride_width;
  std::sort(taps.begin(), taps.end(),
            [&](const Tap& a, const Tap& b) { return std::tuple(a.y, a.x % stride, a.x) < std::tuple(b.y, b.x % stride, b.x); });
  Runs whole;
  for (const Tap& tap : taps) {
    if (whole.empty() || whole.back().back().y != tap.y || whole.back().back().x + stride != tap.x) whole.emplace_back();
    whole.back().push_back(tap);
  }
  Runs runs;
  for (const auto& run : whole) {
    auto at = run.begin();
    for (const Index width : cut(static_cast<Index>(run.size()))) {
      runs.emplace_back(at, at + width);
      at += width;
    }
  }
  return runs;
}

Lowered shape_forward(const ConvGeometry& g, bool planar, bool separate_rows) {
  ConvGeometry shape = g;
  if (!separate_rows && !planar && reshapes(g)) {
    shape.width = shape.out_width = wide_row(g.height * g.width);
    shape.height = shape.out_height = g.height * g.width / std::max<Index>(1, shape.width);
  }
  Lowered to;
  to.filters = g.filters, to.out_height = shape.out_height, to.out_width = shape.out_width;
  TilePass pass;
  pass.out_height = shape.out_height, pass.out_width = shape.out_width;
  for (Index ky = 0; ky < g.kernel_height; ++ky)
    for (Index kx = 0; kx < g.kernel_width; ++kx) pass.taps.push_back({ky * g.dilation_height, kx * g.dilation_width, ky, kx});
  to.passes.push_back(pass);
  to.in = input_of(shape, planar, true);
  return to;
}

Lowered shape_data(const ConvGeometry& g) {
  ConvGeometry shape = g;
  if (reshapes(g)) {
    shape.width = shape.out_width = wide_row(g.height * g.width);
    shape.height = shape.out_height = g.height * g.width / std::max<Index>(1, shape.width);
  }
  Lowered to;
  to.filters = g.channels, to.out_height = shape.height, to.out_width = shape.width;
  to.step_height = g.stride_height, to.step_width = g.stride_width;
  TileInput& in = to.in;
  in.channels = g.filters, in.height = shape.out_height, in.width = shape.out_width;
  Index low_y = 0, low_x = 0, high_y = in.height, high_x = in.width;
  for (Index row = 0; row < g.stride_height; ++row)
    for (Index column = 0; column < g.stride_width; ++column) {
      TilePass pass;
      pass.first_row = row, pass.first_column = column;
      pass.out_height = (shape.height - row + g.stride_height - 1) / g.stride_height;
      pass.out_width = (shape.width - column + g.stride_width - 1) / g.stride_width;
      for (Index ky = 0; ky < g.kernel_height; ++ky)
        for (Index kx = 0; kx < g.kernel_width; ++kx) {
          const Index y = row + g.pad_top - ky * g.dilation_height, x = column + g.pad_left - kx * g.dilation_width;
          if (y % g.stride_height != 0 || x % g.stride_width != 0 || pass.out_height <= 0 || pass.out_width <= 0) continue;
          const Tap tap{y / g.stride_height, x / g.stride_width, ky, kx};
          pass.taps.push_back(tap);
          low_y = std::min(low_y, tap.y), low_x = std::min(low_x, tap.x);
          high_y = std::max(high_y, pass.out_height + tap.y), high_x = std::max(high_x, pass.out_width + tap.x);
        }
      to.passes.push_back(pass);
    }
  in.top = -low_y, in.left = -low_x;
  for (TilePass& pass : to.passes)
    for (Tap& tap : pass.taps) tap.y += in.top, tap.x += in.left;
  in.fit(high_y + in.top, high_x + in.left);
  return to;
}

Lowered lower_forward(const ConvGeometry& g, bool planar, bool separate_rows) {
  Lowered to = shape_forward(g, planar, separate_rows);
  to.in.row_pairs = planar && g.filters <= plane_channels && tile_set().lanes == 2 * plane_channels;
  if (to.in.row_pairs)
    to.in.fit(to.in.rows + g.stride_height, (to.out_width - 1) * g.stride_width + (g.kernel_width - 1) * g.dilation_width + 1);
  fill_passes(to, [&](Index filter, Index channel, Index ky, Index kx) {
    return ((filter * g.channels + channel) * g.kernel_height + ky) * g.kernel_width + kx;
  });
  return to;
}

Lowered lower_data(const ConvGeometry& g) {
  Lowered to = shape_data(g);
  fill_passes(to, [&](Index channel, Index filter, Index ky, Index kx) {
    return ((filter * g.channels + channel) * g.kernel_height + ky) * g.kernel_width + kx;
  });
  return to;
}

}  // namespace wengert::direct
