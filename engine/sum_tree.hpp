// The fixed tree in which partial sums are added, so that the result does not depend on the number of threads.
#pragma once

#include <wengert/engine/types.hpp>

namespace wengert {

// Part p lies at part(p). Neighbours at distance 1 are added, then at 2, 4, ...; the total is left in part 0. Elements [first, last) only.
template <class T, class PartAt>
void sum_tree(Index parts, PartAt part, Index first, Index last) {
  for (Index distance = 1; distance < parts; distance *= 2) {
    for (Index p = 0; p + distance < parts; p += 2 * distance) {
      T* const sum = part(p);
      const T* const other = part(p + distance);
      for (Index i = first; i < last; ++i) sum[i] += other[i];
    }
  }
}

}  // namespace wengert
