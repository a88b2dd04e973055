// The gradient of batch norm, which its vjp spells out in a dozen ops, in two passes over the values.
#include <algorithm>
#include <cmath>

#include <wengert/ops/batch_norm.hpp>
#include <wengert/ops/direct_kernels.hpp>
#include <wengert/ops/fusion/fusions.hpp>
#include <wengert/ops/fusion/rule.hpp>

namespace wengert {

using namespace fusion;

namespace {

template <class T>
void naive_gradient(const KernelCall& call) {
  const View& x = call.input(0);
  const T *xs = x.read<T>(), *gamma = call.input(1).read<T>(), *mean = call.input(2).read<T>(), *variance = call.input(3).read<T>(),
          *dy = call.input(4).read<T>();
  const Index channels = x.shape[1], pixels = x.shape.elements(2, x.shape.rank()), count = x.elements();
  const T epsilon = static_cast<T>(call.attributes.as<BatchNormAttributes>().epsilon),
          share = T(1) / static_cast<T>(count / std::max<Index>(channels, 1));
  T *dx = call.output(0).write<T>(), *dgamma = call.output(1).write<T>(), *dbeta = call.output(2).write<T>();
  std::fill_n(dgamma, channels, T(0));
  std::fill_n(dbeta, channels, T(0));
  const auto normal = [&](Index i, Index c) { return (xs[i] - mean[c]) / std::sqrt(variance[c] + epsilon); };
  for (Index i = 0; i < count; ++i) {
    const Index c = i / pixels % channels;
    dgamma[c] += dy[i] * normal(i, c);
    dbeta[c] += dy[i];
  }
  for (Index i = 0; i < count; ++i) {
    const Index c = i / pixels % channels;
    dx[i] = gamma[c] / std::sqrt(variance[c] + epsilon) * (dy[i] - share * (dbeta[c] + normal(i, c) * dgamma[c]));
  }
}

const Op& gradient_op() {
  static const Op op = [] {
    Op made = make_op("batch_norm_gradient", "dx, dgamma and dbeta of batch norm from x, gamma, mean, variance and dy", 5, 5);
    made.sliced = true;
    made.shapes = [](const OpQuery& query) { return std::vector<Spec>{query.inputs[0], query.inputs[1], query.inputs[1]}; };
    made.batch = [](const BatchQuery&) { return BatchEffect::mixes(1u); };
    made.kernels = {naive_kernel([](const KernelCall& call) {
                      visit_float(call.input(0).dtype, [&](auto zero) { naive_gradient<decltype(zero)>(call); });
                    }),
                    direct_batch_norm_kernel(true)};
    made.samples = [] {
      const auto sample = [](const Shape& x) {
        const Shape c{x[1]};
        return Sample{BatchNormAttributes{0.1},
                      {sample_images(x), sample_value(c), sample_value(c), sample_value(c, SampleInput::Fill::positive), sample_images(x)}};
      };
      return std::vector<Sample>{sample({9, 3, 2, 5}), sample({5, 17, 3, 1}), sample({4, 8, 2, 2})};
    };
    return made;
  }();
  return op;
}

ValueId output(const Graph& graph, StepId step) { return graph.step(step).outputs[0]; }

// What batch_norm_vjp records (ops/batch_norm.cpp), found from the forward step on: centred, normal, the two sums, dx.
bool fuse_gradient(Graph& graph, StepId s) {
  if (!is(graph, s, "batch_norm")) return false;
  const Step forward = graph.step(s);
  const ValueId x = forward.inputs[0];
  StepId centred = -1;
  for (const StepId reader : graph.readers(x)) {
    if (is(graph, reader, "subtract") && graph.step(reader).inputs[0] == x &&
        graph.through_reshape(graph.step(reader).inputs[1]) == forward.outputs[1])
      centred = reader;
  }
  if (centred < 0) return false;
  const StepId normal = only_reader(graph, output(graph, centred));
  if (!is(graph, normal, "multiply") || graph.readers(output(graph, normal)).size() != 2) return false;
  StepId weighted = -1, product = -1;  // dy normal, and normal times the share of dgamma
  for (const StepId reader : graph.readers(output(graph, normal))) {
    if (!is(graph, reader, "multiply")) return false;
    const Step& step = graph.step(reader);
    (step.inputs[1] == output(graph, normal) ? weighted : product) = reader;
  }
  if (weighted < 0 || product < 0) return false;
  const ValueId dy = graph.step(weighted).inputs[0];
  const StepId dgamma = only_reader(graph, output(graph, weighted)), sum = only_reader(graph, output(graph, product));
  if (!is(graph, dgamma, "sum") || !is(graph, sum, "add")) return false;
  const auto averaged = [&](ValueId id) {  // the step whose (C) sum it is times 1/count, as (C,1,1); or -1
    const Step* const affine = graph.maker(graph.through_reshape(id));
    return affine != nullptr && affine->op->name == "affine" ? graph.value(affine->inputs[0]).maker : -1;
  };
  if (averaged(other_input(graph.step(product), output(graph, normal))) != dgamma) return false;
  const StepId dbeta = averaged(other_input(graph.step(sum), output(graph, product)));  // dy may have other readers of its own kind
  if (!is(graph, dbeta, "sum") || graph.step(dbeta).inputs[0] != dy) return false;
  const StepId difference = only_reader(graph, output(graph, sum));
  if (!is(graph, difference, "subtract") || graph.step(difference).inputs[0] != dy) return false;
  const StepId dx = only_reader(graph, output(graph, difference));
  if (!is(graph, dx, "multiply")) return false;
  const std::vector<ValueId> results = {output(graph, dx), output(graph, dgamma), output(graph, dbeta)};
  const StepId first = std::min({dgamma, dbeta, dx});
  for (const StepId id : {weighted, dgamma, dbeta, product, sum, difference, dx}) graph.remove(id);
  const std::vector<ValueId> inputs = {x, forward.inputs[1], forward.outputs[1], forward.outputs[2], dy};
  const StepId made =
      graph.insert(first, make_step(gradient_op(), forward.attributes, inputs, forward, "batch_norm gradient"), graph.specs_of(results));
  for (std::size_t o = 0; o < results.size(); ++o) graph.replace(results[o], graph.step(made).outputs[o]);
  return true;
}

}  // namespace

std::vector<Op> batch_norm_fusion_ops() { return {gradient_op()}; }
std::vector<plan::Fusion> batch_norm_fusions() {
  return {{"batch_norm gradient", "the dozen ops of batch norm's gradient in two passes", fuse_gradient}};
}

}  // namespace wengert
