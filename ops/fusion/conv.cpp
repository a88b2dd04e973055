// conv2d with bias, ReLU and max pool; its gradients with the ReLU's gate and the bias gradient.
#include <algorithm>

#include <wengert/backends/naive/conv.hpp>
#include <wengert/backends/naive/pool.hpp>
#include <wengert/ops/conv.hpp>
#include <wengert/ops/direct_kernels.hpp>
#include <wengert/ops/fusion/fusions.hpp>
#include <wengert/ops/fusion/rule.hpp>
#include <wengert/ops/max_pool.hpp>

namespace wengert {

using namespace fusion;

namespace {

FusedConv read_fused(const Attributes& attributes) { return attributes.as<FusedConv>(); }

Shape conv_result(const FusedConv& conv, Index n) {
  return conv.pool ? Shape{n, conv.geometry.filters, conv.pool->out_height, conv.pool->out_width}
                   : Shape{n, conv.geometry.filters, conv.geometry.out_height, conv.geometry.out_width};
}
Shape filter_shape(const ConvGeometry& g) { return {g.filters, g.group_channels(), g.kernel_height, g.kernel_width}; }

Op make_conv_op(const char* name, const char* summary, int min_inputs, int max_inputs) {
  Op op = make_constant_op(name, summary, min_inputs, max_inputs);
  op.flops = [](const OpQuery& query) { return query.attributes.as<FusedConv>().geometry.flops(query.shape(0)[0]); };  // images stand first
  return op;
}

template <class T>
void add_channels(const View& y, const T* bias, bool relu) {
  const Index channels = y.shape[1], pixels = y.shape[2] * y.shape[3];
  T* out = y.write<T>();
  for (Index plane = 0; plane < y.shape[0] * channels; ++plane, out += pixels) {
    const T b = bias != nullptr ? bias[plane % channels] : T(0);
    for (Index i = 0; i < pixels; ++i) {
      const T value = out[i] + b;
      out[i] = relu && value <= T(0) ? T(0) : value;
    }
  }
}

// The dense result lies in the workspace where a pool follows.
View dense_result(const FusedConv& conv, const KernelCall& call) {
  if (!conv.pool) return call.output(0);
  const ConvGeometry& g = conv.geometry;
  return {call.workspace, Shape{call.input(0).shape[0], g.filters, g.out_height, g.out_width}, call.input(0).dtype};
}

void naive_forward(const KernelCall& call) {
  const auto& conv = call.attributes.as<FusedConv>();
  const View dense = dense_result(conv, call);
  naive::conv2d(conv.geometry, call.input(0), call.input(1), dense);
  visit_float(dense.dtype, [&](auto zero) {
    using T = decltype(zero);
    add_channels<T>(dense, conv.bias ? call.input(2).read<T>() : nullptr, conv.relu && !conv.pool);
    if (!conv.pool) return;
    naive::max_pool2d(*conv.pool, dense, call.output(0), call.output(1));
    if (conv.relu) add_channels<T>(call.output(0), nullptr, true);
  });
}

const Op& conv_forward_op() {
  static const Op op = [] {
    Op made = make_conv_op("conv2d_fused", "conv2d, then bias, max pool (positions before the ReLU) and ReLU as asked for", 2, 3);
    made.shapes = [](const OpQuery& query) {
      const auto& conv = query.attributes.as<FusedConv>();
      const Shape y = conv_result(conv, query.shape(0)[0]);
      std::vector<Spec> specs = {{y, query.dtype(0)}};
      if (conv.pool) specs.push_back({y, DType::i32});
      return specs;
    };
    made.batch = [](const BatchQuery& query) { return query.batched == 0b01 ? BatchEffect::per_image() : BatchEffect::mixes(); };
    Kernel naive = naive_kernel(naive_forward);
    naive.workspace = [](const OpQuery& query) {
      const auto& conv = query.attributes.as<FusedConv>();
      const ConvGeometry& g = conv.geometry;
      return conv.pool ? query.shape(0)[0] * g.filters * g.out_height * g.out_width * size_of(query.dtype(0)) : Index{0};
    };
    made.kernels = {std::move(naive), direct_conv_kernel(ConvRole::forward, read_fused),
                    winograd_conv_kernel(ConvRole::forward, read_fused)};
    made.samples = [] {
      const auto sample = [](const Shape& x, const Shape& w, const Conv2dOptions& options, bool bias, bool relu,
                             std::optional<Pool2dOptions> pool) {
        FusedConv conv;
        conv.geometry = resolve(options, x, w);
        conv.bias = bias;
        conv.relu = relu;
        if (pool) conv.pool = resolve(*pool, Shape{x[0], w[0], conv.geometry.out_height, conv.geometry.out_width});
        Sample made_sample{conv, {sample_images(x), sample_value(w)}};
        if (bias) made_sample.inputs.push_back(sample_value({w[0]}));
        return made_sample;
      };
      return std::vector<Sample>{
          sample({5, 3, 6, 7}, {4, 3, 3, 3}, {}, true, false, std::nullopt),
          sample({3, 2, 7, 6}, {9, 2, 3, 2}, {1, 1, Padding2d::same()}, true, true, std::nullopt),
          sample({9, 1, 8, 9}, {3, 1, 3, 3}, {}, true, true, Pool2dOptions{.window = 2}),
          sample({2, 5, 9, 9}, {10, 5, 3, 3}, {{2, 1}}, false, true, Pool2dOptions{.window = 3, .stride = 2}),
          sample({2, 4, 6, 6}, {6, 2, 2, 2}, {1, 1, {}, 2}, true, false, Pool2dOptions{.window = 2}),
          sample({3, 8, 13, 12}, {9, 8, 5, 5}, {}, true, true, Pool2dOptions{.window = 2}),  // large enough for Winograd's algorithm
          sample({0, 1, 4, 4}, {2, 1, 3, 3}, {}, true, true, std::nullopt)};
    };
    return made;
  }();
  return op;
}

const Op& conv_data_op() {
  static const Op op = [] {
    Op made = make_conv_op("conv2d_data_gate", "conv2d_data, then zero where the gate is not positive", 3, 3);
    made.shapes = [](const OpQuery& query) { return std::vector<Spec>{query.inputs[2]}; };
    made.batch = [](const BatchQuery& query) { return query.batched == 0b101 ? BatchEffect::per_image() : BatchEffect::mixes(); };
    made.kernels = {naive_kernel([](const KernelCall& call) {
                      naive::conv2d_data(call.attributes.as<FusedConv>().geometry, call.input(0), call.input(1), call.output(0));
                      visit_float(call.output(0).dtype, [&](auto zero) {
                        using T = decltype(zero);
                        const T* const gate = call.input(2).read<T>();
                        T* const x = call.output(0).write<T>();
                        std::transform(gate, gate + call.output(0).elements(), x, x,
                                       [](T open, T value) { return open <= T(0) ? T(0) : value; });
                      });
                    }),
                    direct_conv_kernel(ConvRole::data, read_fused), winograd_conv_kernel(ConvRole::data, read_fused)};
    made.samples = [] {
      const auto sample = [](const Shape& x, const Shape& w, const Conv2dOptions& options) {
        FusedConv conv;
        conv.geometry = resolve(options, x, w);
        conv.gate = true;
        return Sample{conv, {sample_images(conv_result(conv, x[0])), sample_value(w), sample_images(x)}};
      };
      return std::vector<Sample>{sample({5, 3, 6, 7}, {4, 3, 3, 3}, {}), sample({3, 9, 7, 6}, {2, 9, 3, 2}, {2, 1, Padding2d::same()}),
                                 sample({2, 8, 8, 9}, {8, 8, 3, 3}, {1, 1, Padding2d::same()}), sample({0, 1, 4, 4}, {2, 1, 3, 3}, {})};
    };
    return made;
  }();
  return op;
}

const Op& conv_weight_op() {
  static const Op op = [] {
    Op made = make_conv_op("conv2d_weight_bias", "conv2d_weight, and the sum of y over images and pixels beside it", 2, 2);
    made.shapes = [](const OpQuery& query) {
      const ConvGeometry& g = query.attributes.as<FusedConv>().geometry;
      return std::vector<Spec>{{filter_shape(g), query.dtype(0)}, {{1, g.filters, 1, 1}, query.dtype(0)}};
    };
    made.batch = [](const BatchQuery& query) { return query.batched == 0b11 ? BatchEffect::sums() : BatchEffect::mixes(); };
    made.kernels = {naive_kernel([](const KernelCall& call) {
                      const View& y = call.input(1);
                      naive::conv2d_weight(call.attributes.as<FusedConv>().geometry, call.input(0), y, call.output(0));
                      visit_float(y.dtype, [&](auto zero) {
                        using T = decltype(zero);
                        const Index channels = y.shape[1], pixels = y.shape[2] * y.shape[3];
                        T* const sums = call.output(1).write<T>();
                        std::fill_n(sums, channels, T(0));
                        for (Index i = 0; i < y.elements(); ++i) sums[i / pixels % channels] += y.read<T>()[i];
                      });
                    }),
                    direct_conv_kernel(ConvRole::weight, read_fused)};
    made.samples = [] {
      const auto sample = [](const Shape& x, const Shape& w, const Conv2dOptions& options) {
        FusedConv conv;
        conv.geometry = resolve(options, x, w);
        conv.bias = true;
        return Sample{conv, {sample_images(x), sample_images(conv_result(conv, x[0]))}};
      };
      return std::vector<Sample>{sample({9, 3, 6, 7}, {4, 3, 3, 3}, {}), sample({3, 1, 7, 6}, {9, 1, 3, 2}, {1, 1, Padding2d::same()}),
                                 sample({0, 1, 4, 4}, {2, 1, 3, 3}, {})};
    };
    return made;
  }();
  return op;
}

// The pool looks at the values before the ReLU, which cuts ties below zero another way: positions may then only serve readers who drop
// those windows.
bool gated(const Graph& graph, ValueId positions) {
  const auto readers = graph.readers(positions);
  return !graph.value(positions).wanted &&
         std::all_of(readers.begin(), readers.end(), [&](StepId reader) { return is(graph, reader, "winners"); });
}

// What fuse_forward would take, if it were the only reader.
bool continues(const Graph& graph, StepId id) { return is(graph, id, "add") || is(graph, id, "relu") || is(graph, id, "max_pool2d"); }

// conv2d, then what follows it as long as nobody else reads what lies between.
bool fuse_forward(Graph& graph, StepId s) {
  if (!is(graph, s, "conv2d")) return false;
  FusedConv conv;
  conv.geometry = graph.step(s).attributes.as<ConvAttributes>().geometry;
  std::vector<StepId> taken = {s};
  std::vector<ValueId> inputs = graph.step(s).inputs, results = {graph.step(s).outputs[0]};
  const auto fused = [&](const FusedConv& fused_conv, std::string rule) {
    return make_step(conv_forward_op(), fused_conv, inputs, graph.step(s), std::move(rule));
  };
  const auto take = [&](StepId id) {
    taken.push_back(id);
    results = graph.step(id).outputs;
  };
  if (const StepId add = only_reader(graph, results[0]); is(graph, add, "add")) {
    const ValueId bias = channels(graph, other_input(graph.step(add), results[0]), conv.geometry.filters);
    if (bias >= 0) {
      conv.bias = true;
      inputs.push_back(bias);
      take(add);
    }
  }
  if (const StepId relu = only_reader(graph, results[0]); is(graph, relu, "relu")) {
    conv.relu = true;
    take(relu);
  }
  if (const StepId pool = only_reader(graph, results[0]);
      is(graph, pool, "max_pool2d") && (!conv.relu || gated(graph, graph.step(pool).outputs[1]))) {
    FusedConv pooled = conv;
    pooled.pool = graph.step(pool).attributes.as<PoolAttributes>().geometry;
    if (fits(graph, fused(pooled, {}))) {
      conv = pooled;
      take(pool);
    }
  } else if (const auto readers = graph.readers(results[0]);
             readers.size() > 1 && std::any_of(readers.begin(), readers.end(), [&](StepId id) { return continues(graph, id); })) {
    graph.note("fuse", "no further than " + graph.step(taken.back()).text() + ": " + std::to_string(readers.size()) + " steps read it");
  }
  if (taken.size() == 1 || !fits(graph, fused(conv, {}))) return false;
  std::vector<Spec> specs = graph.specs_of(results);
  const StepId last = taken.back();
  const std::string rule =
      std::string("conv2d") + (conv.bias ? " + bias" : "") + (conv.relu ? " + relu" : "") + (conv.pool ? " + max_pool2d" : "");
  Step step = fused(conv, rule);
  for (const StepId id : taken) graph.remove(id);
  const StepId made = graph.insert(last, std::move(step), specs);
  for (std::size_t o = 0; o < results.size(); ++o) graph.replace(results[o], graph.step(made).outputs[o]);
  return true;
}

bool fuse_data_gate(Graph& graph, StepId s) {
  if (!is(graph, s, "gate")) return false;
  const ValueId gate = graph.step(s).inputs[0], dx = graph.step(s).inputs[1];
  if (!graph.made_by(dx, "conv2d_data") || only_reader(graph, dx) != s) return false;
  const StepId data = graph.value(dx).maker;
  FusedConv conv;
  conv.geometry = graph.step(data).attributes.as<ConvAttributes>().geometry;
  conv.gate = true;
  std::vector<ValueId> inputs = graph.step(data).inputs;
  inputs.push_back(gate);
  const ValueId result = graph.step(s).outputs[0];
  Step step = make_step(conv_data_op(), conv, std::move(inputs), graph.step(data), "conv2d_data + gate");
  if (!fits(graph, step)) return false;
  graph.remove(data);
  graph.remove(s);
  const StepId made = graph.insert(s, std::move(step), {graph.value(result).spec});
  graph.replace(result, graph.step(made).outputs[0]);
  return true;
}

bool fuse_weight_bias(Graph& graph, StepId s) {
  if (!is(graph, s, "conv2d_weight")) return false;
  FusedConv conv;
  conv.geometry = graph.step(s).attributes.as<ConvAttributes>().geometry;
  conv.bias = true;
  const ValueId y = graph.step(s).inputs[1];
  const Shape sums{1, conv.geometry.filters, 1, 1};
  for (const StepId reader : graph.readers(y)) {
    if (!is(graph, reader, "sum_to") || graph.value(graph.step(reader).outputs[0]).spec.shape != sums) continue;
    const StepId at = std::min(s, reader);
    if (graph.value(graph.step(s).inputs[0]).maker >= at) continue;
    const ValueId dw = graph.step(s).outputs[0], db = graph.step(reader).outputs[0];
    const std::vector<Spec> specs = graph.specs_of({dw, db});
    Step step = make_step(conv_weight_op(), conv, graph.step(s).inputs, graph.step(s), "conv2d_weight + bias");
    if (!fits(graph, step)) return false;
    graph.remove(s);
    graph.remove(reader);
    const StepId made = graph.insert(at, std::move(step), specs);
    graph.replace(dw, graph.step(made).outputs[0]);
    graph.replace(db, graph.step(made).outputs[1]);
    return true;
  }
  return false;
}

}  // namespace

std::vector<Op> conv_fusion_ops() { return {conv_forward_op(), conv_data_op(), conv_weight_op()}; }

std::vector<plan::Fusion> conv_forward_fusions() {
  return {{"conv2d + bias + relu + max_pool2d",
           "a bias, ReLU or max pool behind a conv2d whose result nobody else reads",
           fuse_forward,
           {"conv2d_fused"}}};
}

std::vector<plan::Fusion> conv_gradient_fusions() {
  return {{"conv2d_weight + bias",
           "a conv2d_weight and a sum over images and pixels of the same cotangent",
           fuse_weight_bias,
           {"conv2d_weight_bias"}},
          {"conv2d_data + gate",
           "the gate of a ReLU behind a conv2d_data whose result nobody else reads",
           fuse_data_gate,
           {"conv2d_data_gate"}}};
}

}  // namespace wengert
