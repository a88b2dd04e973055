#include <wengert/backends/naive/copy.hpp>

#include <algorithm>

namespace wengert::naive {
namespace {

// Axes innermost first; those that continue each other on both sides are merged.
struct Axes {
  std::array<Index, Shape::max_rank> size{}, from{}, to{};
  std::size_t depth = 0;

  Axes(const Shape& box, const Strides& from_strides, const Strides& to_strides) {
    for (int a = box.rank() - 1; a >= 0; --a) {
      const auto axis = static_cast<std::size_t>(a);
      if (box[a] == 1) continue;
      const std::size_t inner = depth - 1;
      if (depth > 0 && from_strides[axis] == from[inner] * size[inner] && to_strides[axis] == to[inner] * size[inner]) {
        size[inner] *= box[a];
        continue;
      }
      size[depth] = box[a];
      from[depth] = from_strides[axis];
      to[depth] = to_strides[axis];
      ++depth;
    }
  }
};

template <class T>
void copy_axis(const Axes& axes, std::size_t level, const T* from, T* to) {
  if (level == 0) {
    *to = *from;
    return;
  }
  const std::size_t axis = level - 1;
  const Index size = axes.size[axis], from_step = axes.from[axis], to_step = axes.to[axis];
  if (level > 1) {
    for (Index i = 0; i < size; ++i) copy_axis(axes, axis, from + i * from_step, to + i * to_step);
  } else if (from_step == 1 && to_step == 1) {
    std::copy_n(from, size, to);
  } else {
    for (Index i = 0; i < size; ++i) to[i * to_step] = from[i * from_step];
  }
}

}  // namespace

Strides row_major(const Shape& shape) {
  Strides strides{};
  Index step = 1;
  for (int axis = shape.rank() - 1; axis >= 0; --axis) {
    strides[static_cast<std::size_t>(axis)] = step;
    step *= shape[axis];
  }
  return strides;
}

void copy_box(const Shape& box, const BoxPlace& from, const BoxPlace& to) {
  if (box.elements() == 0) return;
  const Axes axes(box, from.strides, to.strides);
  visit_any(from.array.dtype, [&](auto zero) {
    using T = decltype(zero);
    copy_axis<T>(axes, axes.depth, from.array.read<T>() + from.first, to.array.write<T>() + to.first);
  });
}

}  // namespace wengert::naive
