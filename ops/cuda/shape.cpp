// Moving, filling and converting elements, on backends/cuda/copy.hpp.
#include <fmt/format.h>

#include <wengert/backends/cuda/copy.hpp>
#include <wengert/backends/naive/copy.hpp>
#include <wengert/ops/cuda/kernels.hpp>
#include <wengert/ops/shape.hpp>

namespace wengert {

namespace {

using namespace cuda;

BoxSide whole(const View& view) { return {view.elements(), 0, naive::row_major(view.shape)}; }

void copy(const KernelCall& call, const Shape& box, const BoxSide& from, const BoxSide& to, int input = 0) {
  functions_of(call).copy.box(queue_of(call), call.output(0).dtype, box, call.input(input).data, from, call.output(0).data, to);
}

Kernel same() {
  Kernel made =
      any_kernel([](const KernelCall& call) { queue_of(call).copy(call.output(0).data, call.input(0).data, call.output(0).bytes()); });
  made.dtypes = {};  // bytes are bytes
  return made;
}

Kernel transpose() {
  return any_kernel([](const KernelCall& call) {
    BoxSide from = whole(call.input(0));
    const auto strides = from.strides;
    std::size_t i = 0;
    for (const int axis : call.attributes.as<TransposeAttributes>().permutation)
      from.strides[i++] = strides[static_cast<std::size_t>(axis)];
    copy(call, call.output(0).shape, from, whole(call.output(0)));
  });
}

Kernel broadcast_to() {
  return any_kernel([](const KernelCall& call) {
    const Shape &small = call.input(0).shape, &large = call.output(0).shape;
    BoxSide from{call.input(0).elements(), 0, {}};
    const auto strides = naive::row_major(small);
    for (int axis = 0; axis < small.rank(); ++axis) {
      const int at = axis + large.rank() - small.rank();
      from.strides[static_cast<std::size_t>(at)] = small[axis] == 1 ? 0 : strides[static_cast<std::size_t>(axis)];
    }
    copy(call, large, from, whole(call.output(0)));
  });
}

// The strided box that the part is in the whole.
BoxSide part_of(const View& all, const PartAttributes& attributes) {
  BoxSide side = whole(all);
  for (std::size_t axis = 0; axis < static_cast<std::size_t>(all.shape.rank()); ++axis) {
    side.first += attributes.offset[axis] * side.strides[axis];
    side.strides[axis] *= attributes.step[axis];
  }
  return side;
}

Kernel slice() {
  return any_kernel([](const KernelCall& call) {
    copy(call, call.output(0).shape, part_of(call.input(0), call.attributes.as<PartAttributes>()), whole(call.output(0)));
  });
}

Kernel pad() {
  return any_kernel([](const KernelCall& call) {
    const auto& attributes = call.attributes.as<PartAttributes>();
    const View& y = call.output(0);
    functions_of(call).copy.fill(queue_of(call), y.dtype, attributes.value, y.elements(), y.data);
    copy(call, call.input(0).shape, whole(call.input(0)), part_of(y, attributes));
  });
}

Kernel concatenate() {
  return any_kernel([](const KernelCall& call) {
    const int axis = call.attributes.as<ConcatenateAttributes>().axis;
    BoxSide to = whole(call.output(0));
    for (int i = 0; i < static_cast<int>(call.inputs.size()); ++i) {
      copy(call, call.input(i).shape, whole(call.input(i)), to, i);
      to.first += call.input(i).shape[axis] * to.strides[static_cast<std::size_t>(axis)];
    }
  });
}

Kernel fill() {
  return any_kernel([](const KernelCall& call) {
    const View& y = call.output(0);
    functions_of(call).copy.fill(queue_of(call), y.dtype, call.attributes.as<FillAttributes>().value, y.elements(), y.data);
  });
}

Kernel cast() {
  Kernel made = any_kernel([](const KernelCall& call) {
    const View &x = call.input(0), &y = call.output(0);
    functions_of(call).copy.cast(queue_of(call), x.dtype, y.dtype, x.elements(), x.data, y.data);
  });
  made.refuse = [](const OpQuery& query) {
    const DType from = query.dtype(0), to = query.attributes.as<CastAttributes>().dtype;
    if (from == DType::f64 || to == DType::f64) return std::string("it has no f64 version");
    const bool fits = to == DType::f32 || to == from || (from == DType::u8 && to == DType::i32);
    return fits ? std::string() : fmt::format("nobody would be told of values that {} does not hold", name(to));
  };
  return made;
}

}  // namespace

void add_cuda_shape(Catalogue& catalogue) {
  for (const char* const op : {"reshape", "stop_gradient", "assign"}) catalogue.add_kernel(op, same());
  catalogue.add_kernel("transpose", transpose());
  catalogue.add_kernel("broadcast_to", broadcast_to());
  catalogue.add_kernel("slice", slice());
  catalogue.add_kernel("pad", pad());
  catalogue.add_kernel("concatenate", concatenate());
  catalogue.add_kernel("fill", fill());
  catalogue.add_kernel("cast", cast());
}

}  // namespace wengert
