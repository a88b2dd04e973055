// Rung direct, convolution: the tiles for inputs in planes of 8 channels (forward, and the gradient of x). Timed as a part of conv_dense.cpp.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE <wengert/backends/direct/conv_tiles.cpp>
#include <wengert/backends/direct/highway-inl.hpp>

#include <wengert/backends/direct/conv_tiles-inl.hpp>

HWY_BEFORE_NAMESPACE();
namespace wengert::direct::HWY_NAMESPACE {
namespace {

TileFunction pick_blocked(const TileKind& kind) {
  if (kind.use == LaneUse::plain && kind.vectors == 2) return pick_taps<2, LaneUse::plain, plane_channels>(kind);
  if (kind.use == LaneUse::plain) return pick_taps<1, LaneUse::plain, plane_channels>(kind);
  if constexpr (lanes == 16)
    if (kind.use == LaneUse::channel_pairs) return pick_taps<1, LaneUse::channel_pairs, plane_channels>(kind);
  return nullptr;
}

}  // namespace
}  // namespace wengert::direct::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include <wengert/backends/direct/target.hpp>
namespace wengert::direct {

namespace {
constexpr decltype(&HWY_NAMESPACE::pick_blocked) blocked_tiles[] = WENGERT_EACH_TARGET(pick_blocked);
constexpr int lane_counts[] = WENGERT_EACH_TARGET(lanes);

TileFunction pick_tile(const TileKind& kind) {
  return kind.in_pixel == plane_channels ? blocked_tiles[target_index()](kind) : pick_planar_tile(kind);
}
}  // namespace

TileSet tile_set() { return {lane_counts[target_index()], &pick_tile}; }

}  // namespace wengert::direct
#endif
