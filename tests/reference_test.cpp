// Values and gradients against PyTorch's (reference/reference.json), for every kernel of the op in f64 and f32.
// A failure names the case; it runs alone with
//   WENGERT_CASE=conv2d/17 build/bin/wengert_tests --source-file='*reference_test.cpp'
#include <doctest/doctest.h>

#include <cmath>
#include <algorithm>
#include <cstdlib>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <wengert/engine/context.hpp>
#include <wengert/engine/gradients.hpp>
#include <wengert/ops/catalogue.hpp>

#include "reference/reference_file.hpp"

using namespace wengert;

namespace {

// One case under one kernel and dtype, on its own tape.
struct Run {
  const ReferenceCase& reference;
  DType dtype;
  Tape tape = Tape();

  ReferenceFill fill(const std::string& input) const {
    ReferenceFill result;
    result.salt = reference.integer(input + "_salt");
    if (reference.attributes.count(input + "_positive") != 0) result.positive = reference.flag(input + "_positive");
    return result;
  }
  Var variable(const std::string& input, const Shape& shape, double scale = 1.0) {
    ReferenceFill with = fill(input);
    with.scale = scale;
    return tape.variable(reference_tensor(shape, dtype, with), input);
  }
  Var constant(const Tensor& value) { return tape.constant(value); }
  // Axes of x or y by the usual attribute names.
  Shape image() const {
    return {reference.integer("batch"), reference.integer("channels"), reference.integer("height"), reference.integer("width")};
  }
  void check(const std::string& array, const Tensor& got, const ReferenceBound& bound) const {
    const std::string mismatch = reference_mismatch(reference, array, got, bound);
    CHECK_MESSAGE(mismatch.empty(), mismatch);
  }
};

struct Input {
  std::string name;
  Var var;
  ReferenceBound bound;  // of its gradient
};

// y, and the gradients by the inputs for the cotangent value(i, dy_salt).
void compare(Run& run, const Var& y, const ReferenceBound& bound, const std::vector<Input>& inputs) {
  run.check("y", y.value(), bound);
  const Tensor dy = reference_tensor(y.shape(), run.dtype, run.fill("dy"));
  std::vector<Var> wrt;
  for (const Input& input : inputs) wrt.push_back(input.var);
  GradientOptions options;
  options.cotangents = {y.batched() ? run.tape.batch(dy) : run.constant(dy)};
  const std::vector<Var> found = gradients(y, wrt, options);
  for (std::size_t i = 0; i < inputs.size(); ++i) run.check("d" + inputs[i].name, found[i].value(), inputs[i].bound);
}

const std::vector<Kernel>& kernels_of(const std::string& op) {
  static const Catalogue catalogue = builtin_catalogue();
  return catalogue.at(op).kernels;
}

// Calls body for every case of the kind under every kernel of the op, in f64 and f32.
void each_run(const std::string& kind, const std::string& op, const std::function<void(Run&)>& body) {
  for (const ReferenceCase& reference : reference_cases(kind)) {
    for (const Kernel& kernel : kernels_of(op)) {
      if (kernel.device != Device::Kind::cpu) continue;  // the table test compares those with naive
      for (const DType dtype : {DType::f64, DType::f32}) {
        if (std::find(kernel.dtypes.begin(), kernel.dtypes.end(), dtype) == kernel.dtypes.end()) continue;
        const std::string where = reference.name() + ", kernel " + kernel.backend + ", " + name(dtype) + ": " + reference.describe();
        INFO(where);
        const KernelScope scope(kernel.backend + ",auto");  // the op's gradient may need what that backend has not
        Run run{reference, dtype};
        body(run);
      }
    }
  }
}

Tensor class_labels(Index count, Index classes) {
  std::vector<std::int32_t> labels(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < labels.size(); ++i) {
    labels[i] = static_cast<std::int32_t>((7 * static_cast<Index>(i) + 3) % classes);
  }
  return Tensor::copy(labels.data(), Shape{count});
}

Tensor probability_labels(Index rows, DType dtype) {
  constexpr double weights[] = {1.0, 2.0, 4.0, 1.0};
  std::vector<double> labels;
  for (Index row = 0; row < rows; ++row) {
    for (Index c = 0; c < 4; ++c) labels.push_back(weights[(c + row) % 4] / 8.0);
  }
  return Tensor::copy(labels.data(), Shape{rows, 4}).cast(dtype);
}

Pool2dOptions pool_options(const ReferenceCase& reference) {
  const auto at = [&](const char* attribute) { return reference.integer(attribute); };
  Pool2dOptions options;
  options.window = {at("window_height"), at("window_width")};
  options.stride = {at("stride_height"), at("stride_width")};
  options.padding = Padding2d::sides(at("pad_top"), at("pad_bottom"), at("pad_left"), at("pad_right"));
  return options;
}

ReferenceBound terms(Index count, double conditioning = 1.0) { return {static_cast<double>(count), conditioning}; }

// Bodies that run on x as a plain variable and as the batch of images, which is cut in chunks.
void convolution(Run& run, bool batched) {
  const auto at = [&](const char* attribute) { return run.reference.integer(attribute); };
  Conv2dOptions options;
  options.stride = {at("stride_height"), at("stride_width")};
  options.dilation = {at("dilation_height"), at("dilation_width")};
  options.padding = Padding2d::sides(at("pad_top"), at("pad_bottom"), at("pad_left"), at("pad_right"));
  options.groups = at("groups");
  const Index taps = at("kernel_height") * at("kernel_width");
  const Index group_channels = at("channels") / options.groups, group_filters = at("filters") / options.groups;
  const Var x = batched ? run.tape.batch(reference_tensor(run.image(), run.dtype, run.fill("x")), "x") : run.variable("x", run.image());
  const Var w = run.variable("w", {at("filters"), group_channels, at("kernel_height"), at("kernel_width")});
  const Var y = conv2d(x, w, options);
  const Index pixels = y.shape().elements(2, 4);
  compare(run, y, terms(taps * group_channels), {{"x", x, terms(taps * group_filters)}, {"w", w, terms(at("batch") * pixels)}});
}

}  // namespace

TEST_CASE("reference: every kernel of the convolution has enough cases") {
  std::vector<std::string> backends;
  for (const Kernel& kernel : kernels_of("conv2d")) {
    if (kernel.device == Device::Kind::cpu) backends.push_back(kernel.backend);
  }
  CHECK(backends == std::vector<std::string>{"naive", "matrix", "im2col", "direct", "winograd"});
  if (std::getenv("WENGERT_CASE") == nullptr) CHECK(reference_cases("conv2d").size() >= 60);
}

TEST_CASE("reference: conv2d") {
  each_run("conv2d", "conv2d", [](Run& run) { convolution(run, false); });
}

TEST_CASE("reference: conv2d on a batch of images") {
  each_run("conv2d", "conv2d", [](Run& run) { convolution(run, true); });
}

TEST_CASE("reference: max_pool2d") {
  each_run("max_pool2d", "max_pool2d", [](Run& run) {
    const Var x = run.variable("x", run.image());
    compare(run, max_pool2d(x, pool_options(run.reference)), terms(1), {{"x", x, terms(25)}});
  });
}

TEST_CASE("reference: average_pool2d") {
  each_run("average_pool2d", "average_pool2d", [](Run& run) {
    Pool2dOptions options = pool_options(run.reference);
    options.count_padding = run.reference.flag("count_padding");
    const Var x = run.variable("x", run.image());
    compare(run, average_pool2d(x, options), terms(25), {{"x", x, terms(25)}});
  });
}

TEST_CASE("reference: softmax_cross_entropy") {
  each_run("softmax_cross_entropy", "softmax_cross_entropy", [](Run& run) {
    const Index rows = run.reference.integer("rows"), classes = run.reference.integer("classes");
    const Var x = run.variable("x", {rows, classes}, run.reference.real("scale"));
    const Var labels =
        run.constant(run.reference.text("labels") == "classes" ? class_labels(rows, classes) : probability_labels(rows, run.dtype));
    compare(run, softmax_cross_entropy(x, labels), terms(classes), {{"x", x, terms(classes, 4.0)}});
  });
}

TEST_CASE("reference: softmax and log_softmax") {
  for (const std::string kind : {"softmax", "log_softmax"}) {
    each_run(kind, kind, [&](Run& run) {
      const Index classes = run.reference.integer("classes");
      const Var x = run.variable("x", {run.reference.integer("rows"), classes}, run.reference.real("scale"));
      const Var y = kind == "softmax" ? softmax(x) : log_softmax(x);
      compare(run, y, terms(classes), {{"x", x, terms(classes, 4.0)}});
    });
  }
}

TEST_CASE("reference: batch_norm in training") {
  each_run("batch_norm", "multiply", [](Run& run) {
    const Shape channels = {run.reference.integer("channels")};
    const Var x = run.variable("x", run.image());
    const Var gamma = run.variable("gamma", channels), beta = run.variable("beta", channels);
    const BatchNormResult result = batch_norm(x, gamma, beta, run.reference.real("epsilon"));
    const ReferenceBound bound = terms(x.shape().elements() / channels[0], 4.0);
    run.check("mean", result.mean.value(), bound);
    run.check("variance", result.variance.value(), bound);
    compare(run, result.y, bound, {{"x", x, bound}, {"gamma", gamma, bound}, {"beta", beta, bound}});
  });
}

TEST_CASE("reference: arithmetic with broadcasting") {
  const std::map<std::string, std::function<Var(const Var&, const Var&)>> functions = {
      {"add", [](const Var& a, const Var& b) { return a + b; }},
      {"subtract", [](const Var& a, const Var& b) { return a - b; }},
      {"multiply", [](const Var& a, const Var& b) { return a * b; }},
      {"divide", [](const Var& a, const Var& b) { return a / b; }},
      {"maximum", [](const Var& a, const Var& b) { return maximum(a, b); }}};
  each_run("binary", "add", [&](Run& run) {
    const Var a = run.variable("a", run.reference.shape("a_shape")), b = run.variable("b", run.reference.shape("b_shape"));
    const Var y = functions.at(run.reference.text("op"))(a, b);
    const ReferenceBound bound = terms(y.shape().elements());
    compare(run, y, terms(1), {{"a", a, bound}, {"b", b, bound}});
  });
}

TEST_CASE("reference: functions of one argument") {
  const std::map<std::string, std::function<Var(const Run&, const Var&)>> functions = {
      {"negate", [](const Run&, const Var& x) { return -x; }},
      {"exp", [](const Run&, const Var& x) { return exp(x); }},
      {"tanh", [](const Run&, const Var& x) { return tanh(x); }},
      {"sigmoid", [](const Run&, const Var& x) { return sigmoid(x); }},
      {"relu", [](const Run&, const Var& x) { return relu(x); }},
      {"log", [](const Run&, const Var& x) { return log(x); }},
      {"sqrt", [](const Run&, const Var& x) { return sqrt(x); }},
      {"power", [](const Run& run, const Var& x) { return power(x, run.reference.real("exponent")); }}};
  each_run("unary", "exp", [&](Run& run) {
    const Var x = run.variable("x", run.reference.shape("shape"));
    compare(run, functions.at(run.reference.text("op"))(run, x), terms(4), {{"x", x, terms(4)}});
  });
}

TEST_CASE("reference: sums, means and maxima over axes") {
  each_run("reduce", "sum", [](Run& run) {
    const Var x = run.variable("x", run.reference.shape("shape"));
    std::vector<int> axes;
    for (const Index axis : run.reference.integers("axes")) axes.push_back(static_cast<int>(axis));
    const bool keep = run.reference.flag("keep");
    const std::string op = run.reference.text("op");
    const Var y = op == "sum" ? sum(x, axes, keep) : op == "mean" ? mean(x, axes, keep) : max(x, axes, keep);
    compare(run, y, terms(x.shape().elements()), {{"x", x, terms(1)}});
  });
}

TEST_CASE("reference: matmul") {
  each_run("matmul", "matmul", [](Run& run) {
    const Var a = run.variable("a", run.reference.shape("a_shape")), b = run.variable("b", run.reference.shape("b_shape"));
    MatmulOptions options;
    options.transpose_a = run.reference.flag("transpose_a");
    options.transpose_b = run.reference.flag("transpose_b");
    const ReferenceBound bound = terms(13);  // the longest inner size, rows or columns of these cases
    compare(run, matmul(a, b, options), bound, {{"a", a, bound}, {"b", b, bound}});
  });
}

TEST_CASE("reference: Hessian-vector products of a convolutional network") {
  each_run("hessian", "conv2d", [](Run& run) {
    const auto at = [&](const char* attribute) { return run.reference.integer(attribute); };
    const Index batch = at("batch"), classes = at("classes"), pad = at("pad1");
    const double scale = run.reference.real("w_scale");
    const std::vector<std::pair<std::string, Var>> inputs = {{"x", run.variable("x", {batch, 1, at("height"), at("width")})},
                                                             {"w1", run.variable("w1", {2, 1, 3, 3}, scale)},
                                                             {"w2", run.variable("w2", {2, 2, 2, 2}, scale)},
                                                             {"w3", run.variable("w3", {classes, at("features")}, scale)}};
    std::vector<Var> wrt;
    for (const auto& input : inputs) wrt.push_back(input.second);

    Conv2dOptions first, second;
    first.stride = at("stride1");
    first.padding = Padding2d::sides(pad, pad, pad, pad);
    second.dilation = at("dilation2");
    Var h = tanh(conv2d(wrt[0], wrt[1], first));
    h = average_pool2d(tanh(conv2d(h, wrt[2], second)), Pool2dOptions());
    const Var logits = linear(reshape(h, {batch, -1}), wrt[3]);
    const Var loss = mean(softmax_cross_entropy(logits, run.constant(class_labels(batch, classes))));

    const ReferenceBound bound = terms(100);  // pixels of the batch behind an entry of w1
    run.check("y", loss.value(), bound);
    const std::vector<Var> gradient = gradients(loss, wrt);
    GradientOptions options;
    for (std::size_t i = 0; i < wrt.size(); ++i) {
      run.check("d" + inputs[i].first, gradient[i].value(), bound);
      ReferenceFill vector;
      vector.salt = at("vector_salt") + static_cast<Index>(i);
      options.cotangents.push_back(run.constant(reference_tensor(wrt[i].shape(), run.dtype, vector)));
    }
    const std::vector<Var> product = gradients(gradient, wrt, options);
    for (std::size_t i = 0; i < wrt.size(); ++i) run.check("h" + inputs[i].first, product[i].value(), bound);
  });
}

TEST_CASE("reference: four derivatives of sum(x * tanh(x))") {
  each_run("high_order", "tanh", [](Run& run) {
    const Var x = run.variable("x", run.reference.shape("shape"));
    Var value = sum(x * tanh(x));
    run.check("y", value.value(), terms(5));
    for (const char* order : {"d1", "d2", "d3", "d4"}) {
      value = gradients(sum(value), {x})[0];
      run.check(order, value.value(), terms(5, 8.0));
    }
  });
}

// Both optimisers start from p = value(i, p_salt) and get the gradient value(i, gradient_salt + step).
TEST_CASE("reference: ten steps of Adam and of SGD with momentum and weight decay") {
  for (const std::string kind : {"adam", "sgd"}) {
    each_run(kind, kind, [&](Run& run) {
      const auto real = [&](const char* attribute) { return run.reference.real(attribute); };
      const Index elements = run.reference.integer("elements"), steps = run.reference.integer("steps");
      const auto scalar = [&](double value) { return run.constant(Tensor::scalar(value, run.dtype)); };
      const Shape shape = {elements};
      Var p = run.constant(reference_tensor(shape, run.dtype, run.fill("p")));
      Var first = run.constant(Tensor::zeros(shape, run.dtype)), second = first;
      std::vector<double> path;
      for (Index step = 0; step < steps; ++step) {
        ReferenceFill fill;
        fill.salt = run.reference.integer("gradient_salt") + step;
        const Var gradient = run.constant(reference_tensor(shape, run.dtype, fill));
        if (kind == "adam") {
          AdamAttributes attributes;
          attributes.beta1 = real("beta1");
          attributes.beta2 = real("beta2");
          attributes.epsilon = real("epsilon");
          const double t = static_cast<double>(step + 1);
          const AdamResult next = adam(p, first, second, gradient, scalar(real("rate")), scalar(1 - std::pow(attributes.beta1, t)),
                                       scalar(1 - std::pow(attributes.beta2, t)), attributes);
          p = next.parameter;
          first = next.first;
          second = next.second;
        } else {
          SgdAttributes attributes;
          attributes.momentum = real("momentum");
          attributes.weight_decay = real("weight_decay");
          const SgdResult next = sgd(p, first, gradient, scalar(real("rate")), attributes);
          p = next.parameter;
          first = next.velocity;
        }
        for (Index i = 0; i < elements; ++i) path.push_back(p.value().at(i));
      }
      run.check("p", Tensor::copy(path.data(), Shape{steps, elements}).cast(run.dtype), terms(steps));
    });
  }
}
