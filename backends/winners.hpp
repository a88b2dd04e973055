// Winners: a sparse cotangent behind max pooling and ReLU, as a list of (value, position) a channel.
#pragma once

#include <wengert/engine/types.hpp>

namespace wengert {

// How one image of a value with Layout::winners lies in memory, f32 and i32 mixed, 4 bytes an entry: `channels` counts (rounded up to a
// multiple of 16), then for each channel `pitch` values, then for each channel `pitch` positions h * width + w in the plane. Entries
// stand in the order of the pooled plane; a position may occur more than once (overlapping windows): its values add up.
struct WinnersLayout {
  Index channels = 0;
  Index capacity = 0;  // most entries a channel: the pooled plane's size

  Index counts() const { return (channels + 15) / 16 * 16; }
  Index pitch() const { return (capacity + 15) / 16 * 16 + 16; }  // slack for whole-vector stores
  Index values_at(Index channel) const { return counts() + channel * pitch(); }
  Index positions_at(Index channel) const { return counts() + (channels + channel) * pitch(); }
  Index entries() const { return counts() + 2 * channels * pitch(); }  // 4-byte words an image
};

}  // namespace wengert
