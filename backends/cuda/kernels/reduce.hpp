// Reductions over axes. A warp or a block an output where what is reduced lies side by side; else neighbouring threads take neighbouring
// outputs, and the warps of a block share the elements. Large sums are cut into slices, whose sums are added in a second launch. Cuts and
// trees depend on the sizes alone.
#pragma once

#include <algorithm>

#include <wengert/backends/cuda/kernels/axes.hpp>
#include <wengert/backends/cuda/kernels/join.hpp>
#include <wengert/backends/cuda/reduce.hpp>

namespace wengert::cuda::WENGERT_CUDA_SIDE {

// What is reduced: output k of slice s joins elements [s slice, (s + 1) slice) of `count`; x lies at kept.place(k) + reduced.place(r).
struct Reduction {
  Global<const float> x;
  Axes<1> kept, reduced;
  Index outputs = 0, count = 0;
  Index slices = 1, slice = 0;
};

// Where results go, of output k of slice s at s outputs + k.
struct SumOut {
  using Operation = Sum;
  Global<float> sum;
  WENGERT_DEVICE void store(Index at, float state) const { sum.store(at, state); }
};
struct MaxOut {
  using Operation = Max;
  Global<float> value;
  Global<std::int32_t> position;
  WENGERT_DEVICE void store(Index at, const Max::State& state) const {
    value.store(at, state.value);
    position.store(at, state.number);
  }
};

// Every step-th element of the slice of output k.
template <class Operation>
WENGERT_DEVICE typename Operation::State join_elements(const Reduction& of, Index k, Index s, Index first, Index step) {
  typename Operation::State state = Operation::none();
  Index base;
  of.kept.place(static_cast<std::uint32_t>(k), &base);
  const Index end = (s + 1) * of.slice < of.count ? (s + 1) * of.slice : of.count;
  for (Index r = s * of.slice + first; r < end; r += step) {
    Index offset;
    of.reduced.place(static_cast<std::uint32_t>(r), &offset);
    state = Operation::join(state, Operation::of(of.x.load(base + offset), r));
  }
  return state;
}

// `lanes` neighbouring threads, a warp or the block, for an output of a slice.
template <class Out>
struct ReduceRows {
  using Operation = typename Out::Operation;
  Reduction of;
  Out out;
  int lanes = warp_size;

  WENGERT_DEVICE void operator()(Thread& thread) const {
    const Index groups = of.outputs * of.slices, at_once = thread.size() / lanes;
    const int lane = thread.index() % lanes;
    for (Index first = thread.block() * at_once; first < groups; first += thread.blocks() * at_once) {
      const Index group = first + thread.index() / lanes;
      typename Operation::State state = Operation::none();
      if (group < groups) state = join_elements<Operation>(of, group % of.outputs, group / of.outputs, lane, lanes);
      state = join_lanes<Operation>(thread, state, lanes, 0);
      if (group < groups && lane == 0) out.store(group, state);
    }
  }
};

// The lanes of a warp are neighbouring outputs; the block's warps share the elements of each.
template <class Out>
struct ReduceColumns {
  using Operation = typename Out::Operation;
  using State = typename Operation::State;
  Reduction of;
  Out out;

  WENGERT_DEVICE void operator()(Thread& thread) const {
    const Shared<State> states = thread.shared<State>(0, thread.size());
    const int warps = thread.size() / warp_size;
    const Index across = (of.outputs + warp_size - 1) / warp_size;
    for (Index tile = thread.block(); tile < across * of.slices; tile += thread.blocks()) {
      const Index s = tile / across, k = tile % across * warp_size + thread.lane();
      State state = Operation::none();
      if (k < of.outputs) state = join_elements<Operation>(of, k, s, thread.warp(), warps);
      states.store(thread.index(), state);
      for (int half = warps / 2; half > 0; half /= 2) {
        thread.barrier();
        if (thread.warp() >= half) continue;
        state = Operation::join(state, states.load(thread.index() + half * warp_size));
        states.store(thread.index(), state);
      }
      if (k < of.outputs && thread.warp() == 0) out.store(s * of.outputs + k, state);
      thread.barrier();  // before the next states are written
    }
  }
};

// ---- Launching.

constexpr int reduce_threads = 256;

struct ReducedShape {
  Axes<1> kept, reduced;
  Index outputs = 1, count = 1;
  bool rows = true;  // what is reduced lies side by side
};

// x has at most most_elements, and is not empty.
inline ReducedShape reduced_shape(const Shape& x, const Shape& kept) {
  const Strides strides = row_major(x);
  Shape kept_box, reduced_box;
  Strides kept_strides{}, reduced_strides{};
  ReducedShape result;
  for (int axis = 0; axis < x.rank(); ++axis) {
    const int own = axis - (x.rank() - kept.rank());
    const bool keeps = own >= 0 && kept[own] != 1;
    Shape& box = keeps ? kept_box : reduced_box;
    (keeps ? kept_strides : reduced_strides)[static_cast<std::size_t>(box.rank())] = strides[static_cast<std::size_t>(axis)];
    box.push_back(x[axis]);
    if (x[axis] > 1) result.rows = !keeps;
  }
  result.kept = Axes<1>(kept_box, {kept_strides});
  result.reduced = Axes<1>(reduced_box, {reduced_strides});
  result.outputs = kept_box.elements();
  result.count = reduced_box.elements();
  return result;
}

// In how many slices a sum is cut: so many that a large device has work, and none gets too small to be worth it.
inline Index sum_slices(const ReducedShape& shape) {
  constexpr Index enough_blocks = 512;
  const Index least = shape.rows ? 2048 : 256, blocks = shape.rows ? shape.outputs : ceil_div(shape.outputs, warp_size);
  return std::max<Index>(1, std::min(ceil_div(shape.count, least), ceil_div(enough_blocks, blocks)));
}

template <class Out>
void reduce(Queue& queue, const char* kernel, const float* x, Index elements, const ReducedShape& shape, Index slices, const Out& out) {
  const Reduction of{{x, elements}, shape.kept, shape.reduced, shape.outputs, shape.count, slices, ceil_div(shape.count, slices)};
  Grid grid;
  grid.threads = reduce_threads;
  if (shape.rows) {
    const int lanes = of.slice > reduce_threads ? reduce_threads : warp_size;
    grid.blocks = grid_for(shape.outputs * slices * lanes, reduce_threads).blocks;
    grid.shared_bytes = join_bytes;
    launch(queue, kernel, grid, ReduceRows<Out>{of, out, lanes});
  } else {
    grid.blocks = grid_for(ceil_div(shape.outputs, warp_size) * slices * reduce_threads, reduce_threads).blocks;
    grid.shared_bytes = reduce_threads * static_cast<int>(sizeof(typename Out::Operation::State));
    launch(queue, kernel, grid, ReduceColumns<Out>{of, out});
  }
}

inline Index sum_workspace(const Shape& x_shape, const Shape& kept) {
  const Index elements = x_shape.elements();
  if (elements == 0 || elements > most_elements) return 0;
  const ReducedShape shape = reduced_shape(x_shape, kept);
  const Index slices = sum_slices(shape);
  return slices == 1 ? 0 : slices * shape.outputs * static_cast<Index>(sizeof(float));
}

inline void sum(Queue& queue, const float* x, const Shape& x_shape, const Shape& kept, float* out, void* workspace) {
  const Index elements = x_shape.elements(), outputs = kept.elements();
  want_elements(queue, elements);
  if (outputs == 0) return;
  if (elements == 0) return queue.fill(out, 0, outputs * static_cast<Index>(sizeof(float)));
  const ReducedShape shape = reduced_shape(x_shape, kept);
  const Index slices = sum_slices(shape);
  if (slices == 1) return reduce(queue, "sum", x, elements, shape, 1, SumOut{{out, outputs}});
  float* const sums = static_cast<float*>(workspace);  // (slices, outputs)
  reduce(queue, "sum_slices", x, elements, shape, slices, SumOut{{sums, slices * outputs}});
  const ReducedShape rest = reduced_shape({slices, outputs}, {1, outputs});
  reduce(queue, "sum", sums, slices * outputs, rest, 1, SumOut{{out, outputs}});
}

inline void max(Queue& queue, const float* x, const Shape& x_shape, const Shape& kept, float* value, std::int32_t* position) {
  const Index elements = x_shape.elements(), outputs = kept.elements();
  want_elements(queue, elements);
  if (elements == 0) return;
  reduce(queue, "max", x, elements, reduced_shape(x_shape, kept), 1, MaxOut{{value, outputs}, {position, outputs}});
}

inline ReduceFunctions reduce_functions() { return {sum_workspace, sum, max}; }

}  // namespace wengert::cuda::WENGERT_CUDA_SIDE
