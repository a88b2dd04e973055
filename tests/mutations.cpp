#include "mutations.hpp"

#include <wengert/ops/catalogue.hpp>

namespace wengert::test {

namespace {

using Gradients = std::vector<Var>;
using Vjp = Mutation::Vjp;

// The right vjp on other inputs.
Gradients with_inputs(const VjpCall& call, const Vjp& right, std::vector<Var> inputs) {
  static const Op anything = [] {
    Op op;
    op.name = "mutation";
    op.keeps = {~0u, ~0u};
    return op;
  }();
  const std::vector<Var> cotangents = {call.cotangent()};
  std::uint32_t wanted = 0;
  for (int i = 0; i < call.inputs(); ++i) wanted |= call.wanted(i) ? 1u << i : 0u;
  return right(VjpCall(anything, call.attributes(), inputs, {}, cotangents, wanted));
}

Var times(const Var& gradient, double factor) { return gradient ? gradient * factor : gradient; }

Var without(const Var&) { return {}; }

// x moved by one place along an axis, as an index that is off by one leaves it; 0 moves in.
Var shifted(const Var& x, int axis) {
  const auto rank = static_cast<std::size_t>(x.shape().rank()), at = static_cast<std::size_t>(axis);
  std::vector<Index> begin(rank, 0), end(x.shape().begin(), x.shape().end()), before(rank, 0), after(rank, 0);
  if (end[at] == 0) return x;
  --end[at];
  before[at] = 1;
  return pad(slice(x, begin, end), before, after);
}

// Reversed along an axis.
Var flipped(const Var& x, int axis) {
  std::vector<std::int32_t> order;
  for (Index i = x.shape()[axis]; i > 0; --i) order.push_back(static_cast<std::int32_t>(i - 1));
  return gather(x, Var(Tensor::copy(order.data(), {x.shape()[axis]})), axis);
}

// The elements of the transposed matrix under the old shape.
Var transposed_in_place(const Var& x) {
  if (x.shape().rank() < 2) return x;
  std::vector<int> axes;
  for (int axis = 0; axis < x.shape().rank(); ++axis) axes.push_back(axis);
  std::swap(axes[axes.size() - 1], axes[axes.size() - 2]);
  return reshape(transpose(x, axes), x.shape());
}

// Sums over the channels where it should sum over rows and columns: the mean over axis 1 at every place.
Var mean_over_channels(const Var& gradient) {
  if (!gradient || gradient.shape().rank() != 4 || gradient.shape().elements() == 0) return gradient;
  return broadcast_to(mean(gradient, {1}, true), gradient.shape());
}

Var with_one_entry_times(const Var& gradient, double factor) {
  if (!gradient || gradient.shape().elements() < 2) return gradient;
  Tensor factors = Tensor::full(gradient.shape(), 1.0, gradient.dtype());
  const Index entry = gradient.shape().elements() / 2;
  visit_float(gradient.dtype(), [&](auto zero) {
    using T = decltype(zero);
    factors.mutable_view().write<T>()[entry] = static_cast<T>(factor);
  });
  return gradient * Var(factors);
}

std::vector<Mutation> make_mutations() {
  constexpr int rows = 2, columns = 3;
  return {
      {"the filter's gradient has the wrong sign", "conv2d", true,
       [](const VjpCall& call, const Vjp& right) {
         Gradients g = right(call);
         return Gradients{g[0], times(g[1], -1)};
       }},
      {"the filter is not flipped in the data gradient", "conv2d", true,
       [](const VjpCall& call, const Vjp& right) {
         return Gradients{with_inputs(call, right, {call.input(0), flipped(flipped(call.input(1), rows), columns)})[0], right(call)[1]};
       }},
      {"the filter is transposed in the data gradient", "conv2d", true,
       [](const VjpCall& call, const Vjp& right) {
         return Gradients{with_inputs(call, right, {call.input(0), transposed_in_place(call.input(1))})[0], right(call)[1]};
       }},
      {"the filter's gradient is transposed", "conv2d", true,
       [](const VjpCall& call, const Vjp& right) {
         Gradients g = right(call);
         return Gradients{g[0], g[1] ? transposed_in_place(g[1]) : g[1]};
       }},
      {"padding is off by one in the filter's gradient", "conv2d", true,
       [](const VjpCall& call, const Vjp& right) {
         return Gradients{right(call)[0], with_inputs(call, right, {shifted(call.input(0), columns), call.input(1)})[1]};
       }},
      {"padding is off by one in the data gradient", "conv2d", true,
       [](const VjpCall& call, const Vjp& right) {
         Gradients g = right(call);
         return Gradients{g[0] ? shifted(g[0], rows) : g[0], g[1]};
       }},
      {"filters and channels are mixed up in the filter's gradient", "conv2d", true,
       [](const VjpCall& call, const Vjp& right) {
         Gradients g = right(call);
         return Gradients{g[0], g[1] ? flipped(g[1], 0) : g[1]};
       }},
      {"the stride is dropped in the data gradient", "conv2d", false,
       [](const VjpCall& call, const Vjp& right) {
         Gradients g = right(call);
         ConvGeometry geometry = call.as<ConvAttributes>().geometry;
         const auto room = [](Index size, Index reach) { return size - reach; };
         const bool fits = room(geometry.height, geometry.out_height) >= 0 && room(geometry.width, geometry.out_width) >= 0;
         if (fits) geometry.stride_height = geometry.stride_width = 1;
         if (g[0]) g[0] = conv2d_data(call.cotangent(), call.input(1), geometry);
         return g;
       }},
      {"one entry of the filter's gradient is wrong by a percent", "conv2d", true,
       [](const VjpCall& call, const Vjp& right) {
         Gradients g = right(call);
         return Gradients{g[0], with_one_entry_times(g[1], 1.01)};
       }},
      {"the bias is summed over a wrong axis", "add", true,
       [](const VjpCall& call, const Vjp& right) {
         Gradients g = right(call);
         return Gradients{g[0], call.input_shape(1) == call.input_shape(0) ? g[1] : mean_over_channels(g[1])};
       }},
      {"the gate is missing", "relu", true, [](const VjpCall& call, const Vjp&) { return Gradients{call.cotangent()}; }},
      {"the gradient goes to the place beside the maximum", "max_pool2d", true,
       [](const VjpCall& call, const Vjp& right) {
         Gradients g = right(call);
         return Gradients{g[0] ? shifted(g[0], columns) : g[0]};
       }},
      {"the gradient of max pooling is spread as by average pooling", "max_pool2d", true,
       [](const VjpCall& call, const Vjp&) {
         return Gradients{call.cotangent() ? average_pool2d_data(call.cotangent(), call.as<PoolAttributes>().geometry) : Var()};
       }},
      {"a reshape reads the gradient in another order", "reshape", true,
       [](const VjpCall& call, const Vjp& right) { return Gradients{transposed_in_place(right(call)[0])}; }},
      {"the transpose flags are swapped: the weights' gradient is transposed", "matmul", true,
       [](const VjpCall& call, const Vjp& right) {
         Gradients g = right(call);
         return Gradients{g[0], g[1] ? transposed_in_place(g[1]) : g[1]};
       }},
      {"a factor of two", "matmul", true,
       [](const VjpCall& call, const Vjp& right) {
         Gradients g = right(call);
         return Gradients{times(g[0], 2), g[1]};
       }},
      {"the gradient of the weights is missing", "matmul", true,
       [](const VjpCall& call, const Vjp& right) {
         Gradients g = right(call);
         return Gradients{g[0], without(g[1])};
       }},
      {"p - y lost its y", "softmax_cross_entropy", true,
       [](const VjpCall& call, const Vjp& right) {
         Gradients g = right(call);
         if (g[0] && call.cotangent() && call.input(1).dtype() == DType::i32) {
           const Var labels = one_hot(call.input(1), g[0].shape()[1], g[0].dtype());
           g[0] = g[0] + labels * reshape(call.cotangent(), {g[0].shape()[0], 1});
         }
         return g;
       }},
      {"the loss is divided by the number of classes", "softmax_cross_entropy", true,
       [](const VjpCall& call, const Vjp& right) {
         Gradients g = right(call);
         return Gradients{g[0] ? times(g[0], 1.0 / static_cast<double>(g[0].shape()[1])) : g[0], g[1]};
       }},
      {"a sum's gradient is that of a mean", "sum", false,
       [](const VjpCall& call, const Vjp& right) {
         const auto count = static_cast<double>(call.input_shape(0).elements());
         return Gradients{times(right(call)[0], count > 1 ? 1.0 / count : 0.5)};
       }},
      {"1 - y in place of 1 - y^2", "tanh", false,
       [](const VjpCall& call, const Vjp&) { return Gradients{call.cotangent() * (1.0 - call.output(0))}; }},
      {"the factors are swapped", "multiply", false,
       [](const VjpCall& call, const Vjp&) {
         return Gradients{call.cotangent() * call.input(0), call.cotangent() * call.input(1)};
       }},
      {"a dropped element gets a gradient", "dropout", false,
       [](const VjpCall& call, const Vjp& right) {
         return Gradients{right(call)[0] + call.cotangent() * 0.01, Var()};
       }},
  };
}

}  // namespace

const std::vector<Mutation>& mutations() {
  static const std::vector<Mutation> all = make_mutations();
  return all;
}

Catalogue mutated(const Mutation& mutation) {
  Catalogue catalogue = builtin_catalogue();
  Op op = catalogue.at(mutation.op);
  op.vjp = [right = op.vjp, wrong = mutation.vjp](const VjpCall& call) { return wrong(call, right); };
  catalogue.replace(op);
  return catalogue;
}

}  // namespace wengert::test
