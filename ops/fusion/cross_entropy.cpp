// Softmax cross-entropy together with its gradient by the logits, for labels given as classes.
#include <wengert/backends/direct/elementwise.hpp>
#include <wengert/backends/naive/softmax.hpp>
#include <wengert/ops/fusion/fusions.hpp>
#include <wengert/ops/fusion/rule.hpp>

namespace wengert {

using namespace fusion;

namespace {

// logits (N,C), labels i32 (N), dloss (N,1) -> losses (N), dlogits (N,C) = (softmax - one hot) dloss
template <class T>
void naive_run(const KernelCall& call) {
  const View &losses = call.output(0), &gradient = call.output(1);
  naive::softmax_cross_entropy(call.input(0), call.input(1), losses, gradient);
  const Index classes = gradient.shape[1];
  T* const out = gradient.write<T>();
  for (Index n = 0; n < gradient.shape[0]; ++n) {
    out[n * classes + call.input(1).read<std::int32_t>()[n]] -= T(1);
    for (Index c = 0; c < classes; ++c) out[n * classes + c] *= call.input(2).read<T>()[n];
  }
}

void direct_run(const KernelCall& call) {
  const View& gradient = call.output(1);
  const Index rows = gradient.shape[0], classes = gradient.shape[1];
  direct::softmax_cross_entropy(rows, classes, call.input(0).read<float>(), call.input(1).read<std::int32_t>(), nullptr, 1.0f,
                                call.output(0).write<float>(), gradient.write<float>());
  for (Index n = 0; n < rows; ++n) {
    direct::affine(call.input(2).read<float>()[n], 0.0f, classes, gradient.read<float>() + n * classes,
                   gradient.write<float>() + n * classes);
  }
}

const Op& cross_entropy_op() {
  static const Op op = [] {
    Op made = make_constant_op("softmax_cross_entropy_fused", "the losses, and (softmax - one hot) times the losses' cotangent", 3, 3);
    made.shapes = [](const OpQuery& query) { return std::vector<Spec>{{{query.shape(0)[0]}, query.dtype(0)}, query.inputs[0]}; };
    made.batch = [](const BatchQuery& query) { return query.batched == 0b111 ? BatchEffect::per_image() : BatchEffect::mixes(0b11); };
    Kernel direct;
    direct.backend = "direct";
    direct.dtypes = {DType::f32};
    direct.run = direct_run;
    made.kernels = {
        naive_kernel([](const KernelCall& call) { visit_float(call.input(0).dtype, [&](auto zero) { naive_run<decltype(zero)>(call); }); }),
        std::move(direct)};
    made.samples = [] {
      const auto sample = [](Index n, Index classes) {
        return Sample{{}, {sample_images({n, classes}), sample_images({n}, SampleInput::Fill::classes, classes), sample_images({n, 1})}};
      };
      return std::vector<Sample>{sample(9, 10), sample(3, 21), sample(1, 2), sample(0, 4)};
    };
    return made;
  }();
  return op;
}

// multiply(subtract(p, one_hot(labels)), dloss) with (losses, p) = softmax_cross_entropy(logits, labels) and a constant dloss.
bool fuse_gradient(Graph& graph, StepId s) {
  if (!is(graph, s, "multiply")) return false;
  const Step product = graph.step(s);
  const ValueId difference = product.inputs[0], dloss = product.inputs[1];
  if (!graph.made_by(difference, "subtract") || only_reader(graph, difference) != s) return false;
  const ValueId probabilities = graph.maker(difference)->inputs[0], hot = graph.maker(difference)->inputs[1];
  if (!graph.made_by(probabilities, "softmax_cross_entropy") || !graph.made_by(hot, "one_hot")) return false;
  const StepId forward = graph.value(probabilities).maker;
  const Step loss = graph.step(forward);
  if (probabilities != loss.outputs[1] || only_reader(graph, probabilities) != graph.value(difference).maker) return false;
  if (graph.value(loss.inputs[1]).spec.dtype != DType::i32 || graph.maker(hot)->inputs[0] != loss.inputs[1] || only_reader(graph, hot) < 0)
    return false;
  if (graph.value(dloss).maker >= 0) {
    graph.note("fuse", "no gradient beside the loss at " + loss.text() + ": its cotangent is not known beforehand");
    return false;
  }
  const std::vector<ValueId> results = {loss.outputs[0], product.outputs[0]};
  if (graph.value(dloss).spec.shape != Shape{graph.value(results[1]).spec.shape[0], 1}) return false;
  for (const StepId id : {forward, graph.value(difference).maker, graph.value(hot).maker, s}) graph.remove(id);
  const StepId made = graph.insert(
      forward, make_step(cross_entropy_op(), {}, {loss.inputs[0], loss.inputs[1], dloss}, loss, "softmax_cross_entropy + gradient"),
      graph.specs_of(results));
  for (std::size_t o = 0; o < results.size(); ++o) graph.replace(results[o], graph.step(made).outputs[o]);
  return true;
}

}  // namespace

std::vector<Op> cross_entropy_fusion_ops() { return {cross_entropy_op()}; }
std::vector<plan::Fusion> cross_entropy_fusions() {
  return {{"softmax_cross_entropy + gradient",
           "softmax_cross_entropy of i32 classes and its gradient, nothing else reading the probabilities",
           fuse_gradient,
           {"softmax_cross_entropy_fused"}}};
}

}  // namespace wengert
