// Filters repacked by tap, and the arithmetic of the workspace that kernels are handed.
#pragma once

#include <wengert/backends/geometry.hpp>

namespace wengert {

// body(position in w, position in packed) of every weight; see pack_filters().
template <class Body>
void for_each_weight(const ConvGeometry& g, Index run, Body body) {
  const Index runs = g.kernel_height * g.kernel_width / run, pairs = g.filters * g.group_channels();
  for (Index pair = 0; pair < pairs; ++pair)
    for (Index t = 0; t < runs; ++t)
      for (Index s = 0; s < run; ++s) body((pair * runs + t) * run + s, (t * pairs + pair) * run + s);
}

// w (K, C/groups, KH*KW) -> packed (KH*KW/run, K, C/groups, run): the matrices over channels and `run` neighbouring taps that
// a matrix product takes. run divides KH*KW.
template <class T>
void pack_filters(const ConvGeometry& g, Index run, const T* w, T* packed) {
  for_each_weight(g, run, [&](Index plain, Index place) { packed[place] = w[plain]; });
}

// The way back.
template <class T>
void unpack_filters(const ConvGeometry& g, Index run, const T* packed, T* w) {
  for_each_weight(g, run, [&](Index plain, Index place) { w[plain] = packed[place]; });
}

inline Index filter_elements(const ConvGeometry& g) { return g.filters * g.group_channels() * g.kernel_height * g.kernel_width; }

// Elements, rounded up so that what follows in a workspace is 64-byte aligned again.
constexpr Index aligned_elements(Index elements) { return (elements + 15) / 16 * 16; }

}  // namespace wengert
