// The gradient of batch norm, which its vjp spells out in a dozen ops, in two passes over the values.
#include <algorithm>
#include <cmath>

#include <wengert/ops/arithmetic.hpp>
#include <wengert/ops/batch_norm.hpp>
#include <wengert/ops/direct_kernels.hpp>
#include <wengert/ops/fusion/fusions.hpp>
#include <wengert/ops/fusion/rule.hpp>
#include <wengert/ops/reduce.hpp>

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
    Op made = make_constant_op("batch_norm_gradient", "dx, dgamma and dbeta of batch norm from x, gamma, mean, variance and dy", 5, 5);
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

// The formulas of batch_norm_vjp (ops/batch_norm.cpp) around one forward step.
class Gradient {
 public:
  Gradient(const Graph& graph, StepId forward) : graph_(graph), forward_(graph.step(forward)) {}

  ValueId x() const { return forward_.inputs[0]; }
  ValueId gamma() const { return forward_.inputs[1]; }
  ValueId mean() const { return forward_.outputs[1]; }
  ValueId variance() const { return forward_.outputs[2]; }

  // The (C) values that `id` repeats as (C,1,...), or -1.
  ValueId channels(ValueId id) const {
    const Shape &shape = graph_.value(id).spec.shape, &all = graph_.value(x()).spec.shape;
    Shape wanted{all[1]};
    while (wanted.rank() < all.rank() - 1) wanted.push_back(1);
    const ValueId values = graph_.through_reshape(id);
    return shape == wanted && graph_.value(values).spec.shape == Shape{all[1]} ? values : -1;
  }
  // x - mean
  bool is_centred(const Step& step) const {
    return step.op->name == "subtract" && step.inputs[0] == x() && channels(step.inputs[1]) == mean();
  }
  // (variance + epsilon)^-1/2
  bool is_scale(ValueId id) const {
    if (id < 0 || !graph_.made_by(id, "power") || graph_.maker(id)->attributes.as<PowerAttributes>().exponent != -0.5) return false;
    return affine_of(graph_.maker(id)->inputs[0], 1.0, forward_.attributes.as<BatchNormAttributes>().epsilon) == variance();
  }
  // gamma times the scale
  bool is_weight(ValueId id) const {
    if (id < 0 || !graph_.made_by(id, "multiply")) return false;
    const Step& product = *graph_.maker(id);
    return product.inputs[0] == gamma() ? is_scale(product.inputs[1]) : product.inputs[1] == gamma() && is_scale(product.inputs[0]);
  }
  // The step that sums `of` over all but the channels, of which `id` is the mean as (C,1,...); or -1.
  StepId averaged(ValueId id, ValueId of) const {
    const Shape& all = graph_.value(x()).spec.shape;
    const ValueId total =
        channels(id) < 0 ? -1 : affine_of(channels(id), 1.0 / static_cast<double>(all[0] * all.elements(2, all.rank())), 0.0);
    return total >= 0 && is_sum(graph_.value(total).maker, of) ? graph_.value(total).maker : -1;
  }
  bool is_sum(StepId s, ValueId of) const {
    if (!is(graph_, s, "sum") || graph_.step(s).inputs[0] != of) return false;
    const auto& sum = graph_.step(s).attributes.as<ReduceAttributes>();
    bool all = !sum.keep_dims;
    for (int axis = 0; axis < graph_.value(x()).spec.shape.rank(); ++axis) all = all && sum.axes.has(axis) == (axis != 1);
    return all;
  }

 private:
  ValueId affine_of(ValueId id, double scale, double shift) const {
    if (!graph_.made_by(id, "affine")) return -1;
    const auto& affine = graph_.maker(id)->attributes.as<AffineAttributes>();
    return affine.scale == scale && affine.shift == shift ? graph_.maker(id)->inputs[0] : -1;
  }

  const Graph& graph_;
  const Step& forward_;
};

// From the forward step on: centred = x - mean, normal = centred scale, weighted = dy normal and its sum dgamma, product = normal dgamma / m,
// total = dbeta / m + product, difference = dy - total, dx = gamma scale difference.
bool fuse_gradient(Graph& graph, StepId s) {
  if (!is(graph, s, "batch_norm")) return false;
  const Gradient formulas(graph, s);
  const auto centres = graph.readers(formulas.x());
  const auto centred = std::find_if(centres.begin(), centres.end(), [&](StepId reader) { return formulas.is_centred(graph.step(reader)); });
  if (centred == centres.end()) return false;
  const StepId normal = only_reader(graph, output(graph, *centred));
  if (!is(graph, normal, "multiply") || graph.readers(output(graph, normal)).size() != 2) return false;
  const ValueId normals = output(graph, normal);
  if (!formulas.is_scale(formulas.channels(other_input(graph.step(normal), output(graph, *centred))))) return false;
  StepId weighted = -1, product = -1;
  for (const StepId reader : graph.readers(normals)) {
    if (!is(graph, reader, "multiply")) return false;
    (graph.step(reader).inputs[1] == normals ? weighted : product) = reader;
  }
  if (weighted < 0 || product < 0) return false;
  const ValueId dy = graph.step(weighted).inputs[0];
  const StepId dgamma = only_reader(graph, output(graph, weighted)), total = only_reader(graph, output(graph, product));
  if (!is(graph, total, "add") || formulas.averaged(other_input(graph.step(product), normals), output(graph, weighted)) != dgamma)
    return false;
  const StepId dbeta = formulas.averaged(other_input(graph.step(total), output(graph, product)), dy);
  if (dbeta < 0) return false;
  const StepId difference = only_reader(graph, output(graph, total));
  if (!is(graph, difference, "subtract") || graph.step(difference).inputs[0] != dy) return false;
  const StepId dx = only_reader(graph, output(graph, difference));
  if (!is(graph, dx, "multiply") || !formulas.is_weight(formulas.channels(other_input(graph.step(dx), output(graph, difference)))))
    return false;

  const std::vector<ValueId> results = {output(graph, dx), output(graph, dgamma), output(graph, dbeta)};
  const std::vector<ValueId> inputs = {formulas.x(), formulas.gamma(), formulas.mean(), formulas.variance(), dy};
  const StepId first = std::min({dgamma, dbeta, dx});
  const Step forward = graph.step(s);
  for (const StepId id : {weighted, dgamma, dbeta, product, total, difference, dx}) graph.remove(id);
  const StepId made =
      graph.insert(first, make_step(gradient_op(), forward.attributes, inputs, forward, "batch_norm gradient"), graph.specs_of(results));
  for (std::size_t o = 0; o < results.size(); ++o) graph.replace(results[o], graph.step(made).outputs[o]);
  return true;
}

}  // namespace

std::vector<Op> batch_norm_fusion_ops() { return {gradient_op()}; }
std::vector<plan::Fusion> batch_norm_fusions() {
  return {{"batch_norm gradient",
           "the dozen steps that the gradient of batch_norm records, its y alone differentiated",
           fuse_gradient,
           {"batch_norm_gradient"}}};
}

}  // namespace wengert
