// Rung direct, convolution: the tiles for planar input, the few channels of a first layer. Timed as a part of conv_dense.cpp.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE <wengert/backends/direct/conv_tiles_planar.cpp>
#include <wengert/backends/direct/highway-inl.hpp>

#include <wengert/backends/direct/conv_tiles-inl.hpp>

HWY_BEFORE_NAMESPACE();
namespace wengert::direct::HWY_NAMESPACE {
namespace {

TileFunction pick_planar(const TileKind& kind) {
  if (kind.use == LaneUse::plain) return kind.vectors == 2 ? pick_taps<2, LaneUse::plain, 1>(kind) : pick_taps<1, LaneUse::plain, 1>(kind);
  if constexpr (lanes == 16)
    if (kind.use == LaneUse::row_pairs) return pick_taps<1, LaneUse::row_pairs, 2>(kind);
  return nullptr;
}

}  // namespace
}  // namespace wengert::direct::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include <wengert/backends/direct/target.hpp>
namespace wengert::direct {

namespace {
constexpr decltype(&HWY_NAMESPACE::pick_planar) planar_tiles[] = WENGERT_EACH_TARGET(pick_planar);
}  // namespace

TileFunction pick_planar_tile(const TileKind& kind) { return planar_tiles[target_index()](kind); }

}  // namespace wengert::direct
#endif
