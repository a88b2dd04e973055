// Loops over broadcast operands: axes that lie one behind the other are merged, and a body sees whole innermost runs.
#pragma once

#include <array>

#include <wengert/engine/view.hpp>

namespace wengert {

// Operands of one broadcast: every operand has the walked shape, or 1 (or no axis) where it repeats.
// body(offset_0, ..., run length) with innermost steps in steps(): 0 where the operand repeats along the run, else 1.
template <std::size_t operands>
class BroadcastLoop {
 public:
  BroadcastLoop(const Shape& walked, const std::array<Shape, operands>& shapes) {
    std::array<Index, operands> stride;
    stride.fill(1);
    for (int axis = walked.rank() - 1; axis >= 0; --axis) {
      std::array<Index, operands> step{};
      for (std::size_t o = 0; o < operands; ++o) {
        const int own = axis - (walked.rank() - shapes[o].rank());
        const Index size = own < 0 ? 1 : shapes[o][own];
        step[o] = size == 1 ? 0 : stride[o];
        stride[o] *= size;
      }
      push(walked[axis], step);
    }
    if (depth_ == 0) push_axis(1, {});
  }

  const std::array<Index, operands>& steps() const { return axes_[0].step; }

  // Calls body(offsets, count) for each innermost run, in row-major order.
  template <class Body>
  void run(Body&& body) const {
    for (int axis = 0; axis < depth_; ++axis) {
      if (axes_[static_cast<std::size_t>(axis)].size == 0) return;
    }
    descend(depth_ - 1, {}, body);
  }

 private:
  struct Axis {
    Index size = 1;
    std::array<Index, operands> step{};
  };

  // Axes come innermost first; one that continues the previous for all operands is merged into it.
  void push(Index size, const std::array<Index, operands>& step) {
    if (size == 1) return;
    if (depth_ > 0) {
      Axis& inner = axes_[static_cast<std::size_t>(depth_ - 1)];
      bool continues = true;
      for (std::size_t o = 0; o < operands; ++o) continues = continues && step[o] == inner.step[o] * inner.size;
      if (continues) {
        inner.size *= size;
        return;
      }
    }
    push_axis(size, step);
  }

  void push_axis(Index size, const std::array<Index, operands>& step) { axes_[static_cast<std::size_t>(depth_++)] = {size, step}; }

  template <class Body>
  void descend(int level, std::array<Index, operands> offset, Body& body) const {
    const Axis& axis = axes_[static_cast<std::size_t>(level)];
    if (level == 0) {
      body(offset, axis.size);
      return;
    }
    for (Index i = 0; i < axis.size; ++i) {
      descend(level - 1, offset, body);
      for (std::size_t o = 0; o < operands; ++o) offset[o] += axis.step[o];
    }
  }

  std::array<Axis, Shape::max_rank> axes_{};
  int depth_ = 0;
};

// out[...] = function(a[...], b[...]) with NumPy broadcasting; out has the broadcast shape.
template <class T, class Function>
void broadcast_binary(const View& a, const View& b, const View& out, Function function) {
  const BroadcastLoop<3> loop(out.shape, {out.shape, a.shape, b.shape});
  const T* const in_a = a.read<T>();
  const T* const in_b = b.read<T>();
  T* const to = out.write<T>();
  const bool one_a = loop.steps()[1] == 0, one_b = loop.steps()[2] == 0;
  loop.run([&](const std::array<Index, 3>& at, Index count) {
    T* const y = to + at[0];
    const T* const x = in_a + at[1];
    const T* const z = in_b + at[2];
    if (one_a && one_b) {
      for (Index i = 0; i < count; ++i) y[i] = function(*x, *z);
    } else if (one_a) {
      for (Index i = 0; i < count; ++i) y[i] = function(*x, z[i]);
    } else if (one_b) {
      for (Index i = 0; i < count; ++i) y[i] = function(x[i], *z);
    } else {
      for (Index i = 0; i < count; ++i) y[i] = function(x[i], z[i]);
    }
  });
}

// Sum of count contiguous values in a fixed order: eight running sums, so that it can be vectorised, joined pairwise.
template <class T>
T sum_run(const T* values, Index count) {
  constexpr Index lanes = 8;
  T lane[lanes] = {};
  Index i = 0;
  for (; i + lanes <= count; i += lanes) {
    for (Index l = 0; l < lanes; ++l) lane[l] += values[i + l];
  }
  for (Index l = 0; i < count; ++i, ++l) lane[l] += values[i];
  return ((lane[0] + lane[4]) + (lane[2] + lane[6])) + ((lane[1] + lane[5]) + (lane[3] + lane[7]));
}

// out[...] = sum of in over the axes along which `out_shape` (broadcast against in) repeats; out has out_shape's elements.
template <class T>
void reduce_sum(const View& in, const View& out, const Shape& out_shape) {
  T* const to = out.write<T>();
  const Index elements = out.elements();
  for (Index i = 0; i < elements; ++i) to[i] = T(0);
  const BroadcastLoop<2> loop(in.shape, {in.shape, out_shape});
  const T* const from = in.read<T>();
  const bool one_out = loop.steps()[1] == 0;
  loop.run([&](const std::array<Index, 2>& at, Index count) {
    const T* const x = from + at[0];
    T* const y = to + at[1];
    if (one_out) {
      *y += sum_run(x, count);
    } else {
      for (Index i = 0; i < count; ++i) y[i] += x[i];
    }
  });
}

}  // namespace wengert
