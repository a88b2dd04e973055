// Linear layers: bias and ReLU on the way out, the ReLU's gate in the data gradient, and the deferred weight gradient with Adam in registers.
#include <algorithm>
#include <cmath>
#include <functional>

#include <wengert/backends/blas.hpp>
#include <wengert/backends/direct/matmul.hpp>
#include <wengert/backends/matrix/matmul.hpp>
#include <wengert/backends/naive/matmul.hpp>
#include <wengert/ops/direct_kernels.hpp>
#include <wengert/ops/fusion/fusions.hpp>
#include <wengert/ops/fusion/linear.hpp>
#include <wengert/ops/fusion/rule.hpp>
#include <wengert/ops/matmul.hpp>
#include <wengert/ops/optimiser.hpp>

namespace wengert {

using namespace fusion;

namespace {

// y (rows,out) = x (rows,in) w (out,in)^T
MatmulGeometry forward_geometry(const Shape& x, const Shape& w) {
  MatmulGeometry g;
  g.rows = x[0], g.inner = x[1], g.columns = w[0];
  g.transpose_b = g.shared_a = g.shared_b = true;
  return g;
}

double product_flops(Index rows, Index inner, Index columns) {
  return 2.0 * static_cast<double>(rows) * static_cast<double>(inner * columns);
}

Kernel kernel_of(const char* backend, std::vector<DType> dtypes, void (*run)(const KernelCall&)) {
  Kernel kernel;
  kernel.backend = backend;
  kernel.dtypes = std::move(dtypes);
  kernel.run = run;
  return kernel;
}
Kernel direct_kernel(void (*run)(const KernelCall&)) { return kernel_of("direct", {DType::f32}, run); }

using ProductFunction = void (*)(const MatmulGeometry&, const View&, const View&, const View&);

// The product, then what is fused behind it.
template <ProductFunction product>
void forward(const KernelCall& call) {
  product(forward_geometry(call.input(0).shape, call.input(1).shape), call.input(0), call.input(1), call.output(0));
  const auto& a = call.attributes.as<LinearAttributes>();
  const View& y = call.output(0);
  const Index out = y.shape[1];
  visit_float(y.dtype, [&](auto zero) {
    using T = decltype(zero);
    for (Index row = 0; row < y.shape[0]; ++row) {
      T* const values = y.write<T>() + row * out;
      if (a.bias) std::transform(values, values + out, call.input(2).read<T>(), values, std::plus<T>());
      if (a.relu) std::transform(values, values + out, values, [](T value) { return value <= T(0) ? T(0) : value; });
    }
  });
}

template <ProductFunction product>
void data_gate(const KernelCall& call) {
  MatmulGeometry g;
  g.rows = call.input(0).shape[0], g.inner = call.input(1).shape[0], g.columns = call.input(1).shape[1];
  g.shared_a = g.shared_b = true;
  product(g, call.input(0), call.input(1), call.output(0));
  visit_float(call.output(0).dtype, [&](auto zero) {
    using T = decltype(zero);
    const T* const gate = call.input(2).read<T>();
    T* const x = call.output(0).write<T>();
    std::transform(gate, gate + call.output(0).elements(), x, x, [](T open, T value) { return open <= T(0) ? T(0) : value; });
  });
}

// Of w, input 1.
std::string slower_of_weights(const OpQuery& query) { return slower_than_blas(query.shape(0)[0], query.shape(1).elements()); }

const Op& linear_op() {
  static const Op op = [] {
    Op made = make_constant_op("linear_fused", "x w^T, then bias and ReLU as asked for", 2, 3);
    made.shapes = [](const OpQuery& query) { return std::vector<Spec>{{{query.shape(0)[0], query.shape(1)[0]}, query.dtype(0)}}; };
    made.batch = [](const BatchQuery& query) { return query.batched == 0b01 ? BatchEffect::per_image() : BatchEffect::mixes(); };
    made.flops = [](const OpQuery& query) { return product_flops(query.shape(0)[0], query.shape(1)[1], query.shape(1)[0]); };
    made.kernels = {naive_kernel(forward<naive::matmul>), kernel_of("matrix", {DType::f32, DType::f64}, forward<blas::matmul>),
                    direct_kernel([](const KernelCall& call) {
                      const auto& a = call.attributes.as<LinearAttributes>();
                      const Shape &x = call.input(0).shape, &w = call.input(1).shape;
                      direct::linear_forward({x[0], x[1], w[0]}, call.input(0).read<float>(), call.input(1).read<float>(),
                                             a.bias ? call.input(2).read<float>() : nullptr, a.relu, call.output(0).write<float>());
                    })};
    made.kernels.back().slower = slower_of_weights;
    made.samples = [] {
      const auto sample = [](Index rows, Index in, Index out, bool bias, bool relu) {
        Sample result{LinearAttributes{bias, relu}, {sample_images({rows, in}), sample_value({out, in})}};
        if (bias) result.inputs.push_back(sample_value({out}));
        return result;
      };
      return std::vector<Sample>{sample(9, 5, 4, true, true), sample(6, 20, 17, false, true), sample(3, 33, 10, true, false),
                                 sample(0, 3, 2, true, true)};
    };
    return made;
  }();
  return op;
}

const Op& linear_data_op() {
  static const Op op = [] {
    Op made = make_constant_op("linear_data_gate", "y w, then zero where the gate is not positive", 3, 3);
    made.shapes = [](const OpQuery& query) { return std::vector<Spec>{query.inputs[2]}; };
    made.batch = [](const BatchQuery& query) { return query.batched == 0b101 ? BatchEffect::per_image() : BatchEffect::mixes(); };
    made.flops = [](const OpQuery& query) { return product_flops(query.shape(0)[0], query.shape(1)[0], query.shape(1)[1]); };
    made.kernels = {naive_kernel(data_gate<naive::matmul>), kernel_of("matrix", {DType::f32, DType::f64}, data_gate<blas::matmul>),
                    direct_kernel([](const KernelCall& call) {
                      const Shape &y = call.input(0).shape, &w = call.input(1).shape;
                      direct::linear_data({y[0], w[1], w[0]}, call.input(0).read<float>(), call.input(1).read<float>(),
                                          call.input(2).read<float>(), call.output(0).write<float>());
                    })};
    made.kernels.back().slower = slower_of_weights;
    made.samples = [] {
      const auto sample = [](Index rows, Index in, Index out) {
        return Sample{{}, {sample_images({rows, out}), sample_value({out, in}), sample_images({rows, in})}};
      };
      return std::vector<Sample>{sample(9, 5, 4), sample(6, 20, 17), sample(0, 3, 2)};
    };
    return made;
  }();
  return op;
}

enum UpdateInput : int { p, m, v, y, x, rate, correction1, correction2 };

// In place in a plan; else the rows are taken over first.
void take_over(const KernelCall& call, Index first, Index last) {
  const Index in = call.input(UpdateInput::x).shape[1];
  for (int o = 0; o < 3; ++o) {
    const View &from = call.input(o), &to = call.output(o);
    if (from.data != to.data) std::copy(from.read<float>() + first * in, from.read<float>() + last * in, to.write<float>() + first * in);
  }
}

direct::AdamStep step_of(const KernelCall& call) {
  const auto scalar = [&](int input) { return *call.input(input).read<float>(); };
  return direct_adam_step(call.attributes, scalar(UpdateInput::rate), scalar(UpdateInput::correction1), scalar(UpdateInput::correction2));
}

void direct_update(const KernelCall& call, Index first, Index last) {
  const Shape &dy = call.input(UpdateInput::y).shape, &in = call.input(UpdateInput::x).shape;
  take_over(call, first, last);
  direct::linear_weight_adam({dy[0], in[1], dy[1]}, step_of(call), call.input(UpdateInput::x).read<float>(),
                             call.input(UpdateInput::y).read<float>(), first, last, call.output(0).write<float>(),
                             call.output(1).write<float>(), call.output(2).write<float>());
}

// The gradient of some rows in the workspace, then Adam.
constexpr Index matrix_slice_rows = 32;
void matrix_update(const KernelCall& call, Index first, Index last) {
  const Shape &dy = call.input(UpdateInput::y).shape, &in = call.input(UpdateInput::x).shape;
  take_over(call, first, last);
  auto* const gradient = static_cast<float*>(call.workspace);
  const blas::SingleThread blas;
  for (Index row = first; row < last; row += matrix_slice_rows) {
    const Index rows = std::min(matrix_slice_rows, last - row);
    blas::Product product{.rows = rows, .inner = dy[0], .columns = in[1], .transpose_a = true};
    product.a_pitch = dy[1];
    blas.gemm(product, 1.0f, call.input(UpdateInput::y).read<float>() + row, call.input(UpdateInput::x).read<float>(), 0.0f, gradient);
    const Index at = row * in[1];
    direct::adam(step_of(call), rows * in[1], gradient, call.output(0).write<float>() + at, call.output(1).write<float>() + at,
                 call.output(2).write<float>() + at);
  }
}
Index matrix_update_bytes(const OpQuery& query) { return matrix_slice_rows * query.shape(UpdateInput::x)[1] * size_of(DType::f32); }

// The outputs' rows are cut in slices for several workers.
class PreparedUpdate final : public PreparedKernel {
 public:
  using Update = void (*)(const KernelCall& call, Index first, Index last);
  PreparedUpdate(Update update, Index rows, Index slice_rows, Index workspace)
      : update_(update), rows_(rows), slice_rows_(slice_rows), workspace_(workspace) {}
  Index slices() const override { return (rows_ + slice_rows_ - 1) / slice_rows_; }
  Index workspace() const override { return workspace_; }
  void run(const KernelCall& call) const override {
    const Index first = call.slice * slice_rows_;
    update_(call, first, std::min(rows_, first + slice_rows_));
  }

 private:
  Update update_;
  Index rows_, slice_rows_, workspace_;
};

template <class T>
void naive_update(const KernelCall& call) {
  const auto& a = call.attributes.as<AdamAttributes>();
  const View &dy = call.input(UpdateInput::y), &in = call.input(UpdateInput::x);
  const auto scalar = [&](int input) { return *call.input(input).read<T>(); };
  const T step = scalar(UpdateInput::rate) / scalar(UpdateInput::correction1), root = T(1) / std::sqrt(scalar(UpdateInput::correction2));
  const T decay = scalar(UpdateInput::rate) * static_cast<T>(a.weight_decay);
  const Index rows = dy.shape[1], columns = in.shape[1];
  for (Index i = 0; i < rows * columns; ++i) {
    T g = 0;
    for (Index n = 0; n < dy.shape[0]; ++n) g += dy.read<T>()[n * rows + i / columns] * in.read<T>()[n * columns + i % columns];
    const T first = static_cast<T>(a.beta1) * call.input(1).read<T>()[i] + static_cast<T>(1.0 - a.beta1) * g;
    const T second = static_cast<T>(a.beta2) * call.input(2).read<T>()[i] + static_cast<T>(1.0 - a.beta2) * (g * g);
    const T old = call.input(0).read<T>()[i];
    call.output(0).write<T>()[i] = old - decay * old - step * first / (std::sqrt(second) * root + static_cast<T>(a.epsilon));
    call.output(1).write<T>()[i] = first;
    call.output(2).write<T>()[i] = second;
  }
}

const Op& linear_adam_op() {
  static const Op op = [] {
    Op made = make_constant_op("linear_weight_adam",
                               "Adam with the gradient y^T x of a linear layer's weights, which never leaves the registers", 8, 8);
    made.overwrites = 0b111;
    made.sliced = true;
    made.shapes = [](const OpQuery& query) { return std::vector<Spec>{query.inputs[0], query.inputs[1], query.inputs[2]}; };
    made.batch = [](const BatchQuery&) { return BatchEffect::mixes(); };
    made.flops = [](const OpQuery& query) {
      return product_flops(query.shape(UpdateInput::y)[0], query.shape(UpdateInput::y)[1], query.shape(UpdateInput::x)[1]);
    };
    Kernel direct = direct_kernel([](const KernelCall& call) { direct_update(call, 0, call.input(0).shape[0]); });
    direct.slower = [](const OpQuery& query) {
      return slower_than_blas(query.shape(UpdateInput::y)[0], query.shape(UpdateInput::p).elements());
    };
    direct.prepare = [](const PlanQuery& query) -> Preparation {
      constexpr Index slice_rows = 8;
      return {std::make_unique<PreparedUpdate>(direct_update, query.shape(UpdateInput::p)[0], slice_rows, 0), {}};
    };
    Kernel matrix = kernel_of("matrix", {DType::f32}, [](const KernelCall& call) { matrix_update(call, 0, call.input(0).shape[0]); });
    matrix.workspace = matrix_update_bytes;
    matrix.prepare = [](const PlanQuery& query) -> Preparation {
      return {
          std::make_unique<PreparedUpdate>(matrix_update, query.shape(UpdateInput::p)[0], matrix_slice_rows, matrix_update_bytes(query)),
          {}};
    };
    made.kernels = {naive_kernel([](const KernelCall& call) {
                      visit_float(call.input(0).dtype, [&](auto zero) { naive_update<decltype(zero)>(call); });
                    }),
                    std::move(matrix), std::move(direct)};
    made.samples = [] {
      using Fill = SampleInput::Fill;
      const auto sample = [](Index n, Index in, Index out) {
        const Shape w{out, in};
        return Sample{AdamAttributes{0.95, 0.99, 1e-8, 0.01},
                      {sample_value(w), sample_value(w), sample_value(w, Fill::positive), sample_images({n, out}), sample_images({n, in}),
                       sample_value({}, Fill::positive), sample_value({}, Fill::positive), sample_value({}, Fill::positive)}};
      };
      return std::vector<Sample>{sample(9, 21, 11), sample(4, 5, 3), sample(4, 7, 70)};
    };
    return made;
  }();
  return op;
}

// matmul(x, w^T), then bias and ReLU.
bool fuse_forward(Graph& graph, StepId s) {
  if (!is(graph, s, "matmul")) return false;
  const auto& flags = graph.step(s).attributes.as<MatmulAttributes>();
  const ValueId w = graph.step(s).inputs[1];
  if (flags.transpose_a || !flags.transpose_b || graph.value(w).batched || graph.value(graph.step(s).inputs[0]).spec.shape.rank() != 2)
    return false;
  const Index out = graph.value(w).spec.shape[0];
  LinearAttributes linear;
  std::vector<ValueId> inputs = graph.step(s).inputs;
  ValueId result = graph.step(s).outputs[0];
  std::vector<StepId> taken = {s};
  if (const StepId add = only_reader(graph, result); is(graph, add, "add")) {
    const ValueId bias = other_input(graph.step(add), result);
    if (graph.value(bias).spec.shape == Shape{out} && !graph.value(bias).batched) {
      linear.bias = true;
      inputs.push_back(bias);
      taken.push_back(add);
      result = graph.step(add).outputs[0];
    }
  }
  if (const StepId relu = only_reader(graph, result); is(graph, relu, "relu")) {
    linear.relu = true;
    taken.push_back(relu);
    result = graph.step(relu).outputs[0];
  }
  if (taken.size() == 1) return false;
  const std::vector<Spec> specs = {graph.value(result).spec};
  const StepId last = taken.back();
  const std::string rule = std::string("linear") + (linear.bias ? " + bias" : "") + (linear.relu ? " + relu" : "");
  for (const StepId id : taken) graph.remove(id);
  const StepId made = graph.insert(last, make_step(linear_op(), linear, std::move(inputs), graph.step(s), rule), specs);
  graph.replace(result, graph.step(made).outputs[0]);
  return true;
}

// gate(h, matmul(y, w))
bool fuse_data_gate(Graph& graph, StepId s) {
  if (!is(graph, s, "gate")) return false;
  const ValueId gate = graph.step(s).inputs[0], dx = graph.step(s).inputs[1];
  if (!graph.made_by(dx, "matmul") || only_reader(graph, dx) != s) return false;
  const StepId product = graph.value(dx).maker;
  const auto& flags = graph.step(product).attributes.as<MatmulAttributes>();
  std::vector<ValueId> inputs = graph.step(product).inputs;
  if (flags.transpose_a || flags.transpose_b || graph.value(inputs[1]).batched || graph.value(inputs[0]).spec.shape.rank() != 2)
    return false;
  inputs.push_back(gate);
  const ValueId result = graph.step(s).outputs[0];
  graph.remove(product);
  graph.remove(s);
  const StepId made = graph.insert(s, make_step(linear_data_op(), {}, std::move(inputs), graph.step(product), "linear gradient + gate"),
                                   {graph.value(result).spec});
  graph.replace(result, graph.step(made).outputs[0]);
  return true;
}

// adam(p, m, v, matmul(y^T, x), ...), where the gradient is large enough to be deferred and nobody else reads it.
bool fuse_update(Graph& graph, StepId s) {
  if (!is(graph, s, "adam")) return false;
  const std::vector<ValueId> in = graph.step(s).inputs;
  constexpr std::size_t gradient = 3;
  const ValueId g = in[gradient];
  if (!graph.made_by(g, "matmul") || only_reader(graph, g) != s) return false;
  const Step& product = *graph.maker(g);
  const auto& flags = product.attributes.as<MatmulAttributes>();
  if (!flags.transpose_a || flags.transpose_b || graph.batched_inputs(product) != 0b11 ||
      graph.value(product.inputs[0]).spec.shape.rank() != 2)
    return false;
  constexpr Index small = 16384;  // elements: a smaller gradient is cheaper as one partial sum a chunk
  if (graph.value(g).spec.shape.elements() < small) return false;
  const std::vector<ValueId> inputs = {in[0], in[1], in[2], product.inputs[0], product.inputs[1], in[4], in[5], in[6]};
  const std::vector<ValueId> results = graph.step(s).outputs;
  graph.remove(graph.value(g).maker);
  graph.remove(s);
  Step step = make_step(linear_adam_op(), graph.step(s).attributes, inputs, product, "linear gradient + adam");
  const StepId made = graph.insert(s, std::move(step), graph.specs_of(results));
  for (std::size_t o = 0; o < results.size(); ++o) graph.replace(results[o], graph.step(made).outputs[o]);
  return true;
}

}  // namespace

std::vector<Op> linear_fusion_ops() { return {linear_op(), linear_data_op(), linear_adam_op()}; }

std::vector<plan::Fusion> linear_fusions() {
  return {{"linear + bias + relu", "a bias or ReLU behind a matmul x w^T whose result nobody else reads", fuse_forward, {"linear_fused"}},
          {"linear gradient + gate",
           "the gate of a ReLU behind a matmul y w whose result nobody else reads",
           fuse_data_gate,
           {"linear_data_gate"}}};
}

std::vector<plan::Fusion> linear_update_fusions() {
  return {{"linear gradient + adam",
           "adam of a gradient matmul y^T x of at least 16384 elements that nobody else reads",
           fuse_update,
           {"linear_weight_adam"}}};
}

}  // namespace wengert
