// What the gradient check is applied to: an op's samples, the nodes of a run, a model.
#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include <wengert/engine/context.hpp>
#include <wengert/engine/error.hpp>
#include <wengert/engine/gradcheck.hpp>
#include <wengert/engine/gradients.hpp>
#include <wengert/engine/random.hpp>
#include <wengert/engine/samples.hpp>

namespace wengert {

namespace {

// What a command needs beyond its subject to repeat a check.
std::string options_text(const GradcheckOptions& options) {
  std::string text = fmt::format(" --seed {}", options.seed);
  if (options.order != 1) text += " --order 2";
  if (options.device != Device{}) text += " --device " + text_of(options.device);
  else if (options.dtype != DType::f64) text += fmt::format(" --dtype {}", name(options.dtype));
  return text;
}

// The parameters that a network reads, from a declaring run in their own dtype.
std::vector<Parameter> parameters_of(const GradcheckLoss& loss, const std::vector<Tensor>& data, const GradcheckOptions& options) {
  Tape tape = options.catalogue != nullptr ? Tape(*options.catalogue, Tape::Mode::declaring) : Tape(Tape::Mode::declaring);
  std::vector<Var> vars;
  for (const Tensor& tensor : data) vars.push_back(tape.batch(is_float(tensor.dtype()) ? tensor.cast(DType::f32) : tensor));
  loss(vars);
  return tape.parameters();
}

// The parameter's value, moved a little at random.
Tensor moved_value(const Parameter& parameter, const GradcheckOptions& options) {
  const Tensor value = parameter.value().cast(DType::f64);
  const std::span<const double> values = value.values<double>();
  double size = 0;
  for (const double v : values) size = std::max(size, std::abs(v));
  constexpr double part = 0.05;  // of the largest value
  std::vector<double> moved(values.size());
  fill_uniform(random_stream(options.seed, "moved " + parameter.name()), moved, -part, part);
  for (std::size_t i = 0; i < moved.size(); ++i) moved[i] = values[i] + (size > 0 ? size : 1.0) * moved[i];
  return Tensor::copy(moved.data(), value.shape()).cast(options.dtype);
}

// Running statistics and the like that a network assigns to as it runs stay as they were.
class KeepParameters {
 public:
  explicit KeepParameters(std::vector<Parameter> parameters) : parameters_(std::move(parameters)) {
    for (const Parameter& parameter : parameters_) {
      values_.push_back(parameter.value());
      versions_.push_back(parameter.version());
    }
  }
  ~KeepParameters() {
    for (std::size_t i = 0; i < parameters_.size(); ++i) {
      if (parameters_[i].version() != versions_[i]) parameters_[i].set_value(values_[i]);
    }
  }
  KeepParameters(const KeepParameters&) = delete;
  KeepParameters& operator=(const KeepParameters&) = delete;

 private:
  std::vector<Parameter> parameters_;
  std::vector<Tensor> values_;
  std::vector<std::uint64_t> versions_;
};

bool all_finite(const Tensor& tensor) {
  const Tensor wide = tensor.cast(DType::f64);
  const std::span<const double> values = wide.values<double>();
  return std::all_of(values.begin(), values.end(), [](double value) { return std::isfinite(value); });
}

// A model's report, each of whose nodes is right alone. At kinks of several nodes, ties of a max pool say, each may take the slope of
// another side than differences of the whole do, and the sides may even cancel in them.
GradcheckReport without_kinks(const GradcheckReport& model, const GradcheckReport& nodes) {
  const bool kinks = std::any_of(nodes.findings.begin(), nodes.findings.end(), [](const GradcheckFinding& f) { return f.kink; });
  GradcheckReport report;
  for (GradcheckFinding finding : model.findings) {
    if (finding.verdict == Verdict::fail && finding.reason != vacuous_check && (kinks || finding.kink)) {
      finding.verdict = Verdict::inconclusive;
      finding.reason = "kinks of several nodes, each of which is right alone";
    }
    report.add(finding);
  }
  report.checks = model.checks;
  report.passed = model.passed;
  report.zero = model.zero;
  return report;
}

}  // namespace

GradcheckReport check_op(const Catalogue& catalogue, const std::string& op_name, const GradcheckOptions& options,
                         const std::string& command) {
  const Op& op = catalogue.at(op_name);
  const std::vector<Sample> samples = op.samples();
  const bool constant = op.smoothness == Op::Smoothness::constant;
  const bool exact = op.smoothness == Op::Smoothness::multilinear && options.order == 1;
  GradcheckReport report;
  if (constant && (op.stops_gradient || options.order > 1)) return report;
  const auto cases = static_cast<Index>(samples.size());
  if (options.only_case >= cases)
    fail(fmt::format("[{}] has {} sample cases, counted from 0; there is no case {}", op.name, cases, options.only_case));
  GradcheckOptions own = options;
  own.catalogue = &catalogue;
  for (Index number = 0; number < cases && report.failed < options.most_failures; ++number) {
    if (options.only_case >= 0 && options.only_case != number) continue;
    const Sample& sample = samples[static_cast<std::size_t>(number)];
    const std::vector<Tensor> tensors = sample_tensors(op, samples, number, {options.seed, options.dtype, exact});
    std::vector<GradcheckInput> inputs;
    for (std::size_t i = 0; i < tensors.size(); ++i) inputs.push_back({tensors[i], "", sample.inputs[i].batched});
    GradcheckSubject subject;
    subject.node = "[" + op.name + "]";
    subject.op = op.name;
    subject.number = number;
    if (!command.empty()) subject.command = fmt::format("{} --case {}{}", command, number, options_text(options));
    subject.multilinear = exact;
    subject.constant = constant;
    subject.may_vanish = true;  // x to the power 0 is a case worth having: the op as a whole must not vanish
    const auto call = [&](std::span<const Var> vars) { return apply(op, sample.attributes, vars); };
    if (!inputs.empty()) report.merge(check_function(call, inputs, own, subject));
  }
  if (!constant && report.checks > 0 && report.checks == report.zero) {
    GradcheckFinding finding;
    finding.node = "[" + op.name + "]";
    finding.op = op.name;
    finding.number = options.only_case;
    finding.order = options.order;
    finding.seed = options.seed;
    finding.reason = vacuous_check;
    if (!command.empty()) finding.command = command + options_text(options);
    report.add(finding);
  }
  return report;
}

GradcheckReport check_nodes(const Tape& tape, Index size, const GradcheckOptions& options, const std::string& command) {
  GradcheckReport report;
  for (Index id = 0; id < std::min(size, tape.size()) && report.failed == 0; ++id) {
    const Node& node = tape.node(id);
    if (node.op->smoothness == Op::Smoothness::constant) continue;
    std::vector<GradcheckInput> inputs;
    Index elements = 0;
    for (const Node::Input& input : node.inputs) {
      const Var var = tape.var(input.node, input.output);
      inputs.push_back({var.value(), var.name(), var.batched()});
      elements += var.shape().elements();
    }
    GradcheckOptions own = options;
    own.order = 1;
    own.narrow = true;
    own.only_input = -1;
    own.most_failures = 1;
    own.catalogue = tape.catalogue();
    constexpr Index large = 20000;  // elements from which on a node gets less work
    if (elements > large) {
      own.directions = std::min(own.directions, 1);
      own.entries = std::min(own.entries, 2);
    }
    GradcheckSubject subject;
    subject.node = node.text();
    subject.op = node.op->name;
    subject.command = command;
    subject.may_vanish = true;  // a ReLU may be off everywhere in this run
    CallOptions call_options;
    call_options.name = node.name;
    call_options.site = node.site;
    const auto call = [&](std::span<const Var> vars) { return apply(*node.op, node.attributes, vars, call_options); };
    const GradcheckReport one = check_function(call, inputs, own, subject);
    if (one.failed > 0) report.first_wrong_node = one.findings.front();
    report.merge(one);
  }
  return report;
}

GradcheckReport check_model(const GradcheckLoss& loss, const std::vector<Tensor>& data, const GradcheckOptions& options,
                            const std::string& command) {
  const KeepDenormals denormals;
  Context::current().recording = true;
  const std::vector<Parameter> parameters = parameters_of(loss, data, options);
  const KeepParameters keep(parameters);
  std::vector<GradcheckInput> inputs;
  for (const Parameter& parameter : parameters) {
    const bool trained = parameter.trainable();
    inputs.push_back({trained ? moved_value(parameter, options) : parameter.value().cast(options.dtype), parameter.name(), false, trained});
  }
  for (std::size_t i = 0; i < data.size(); ++i) {
    inputs.push_back({is_float(data[i].dtype()) ? data[i].cast(options.dtype) : data[i], fmt::format("data {}", i), true});
  }
  const auto function = [&](std::span<const Var> vars) {
    Tape tape = vars[0].tape();
    for (std::size_t p = 0; p < parameters.size(); ++p) tape.bind(parameters[p], vars[p]);
    return std::vector<Var>{loss(vars.subspan(parameters.size()))};
  };
  GradcheckSubject subject;
  subject.node = "[model]";
  subject.command = command.empty() ? command : command + options_text(options);
  Tape tape = options.catalogue != nullptr ? Tape(*options.catalogue) : Tape();
  std::vector<Var> vars, wrt;
  for (const GradcheckInput& input : inputs) {
    vars.push_back(input.batched ? tape.batch(input.value, input.name, nullptr) : tape.variable(input.value, input.name, nullptr));
    if (input.vary && is_float(input.value.dtype())) wrt.push_back(vars.back());
  }
  const Var output = function(vars)[0];
  if (!all_finite(output.value())) {
    GradcheckFinding finding;
    finding.node = subject.node;
    finding.order = options.order;
    finding.seed = options.seed;
    finding.command = subject.command;
    finding.reason = "vacuous: the loss is not finite";
    GradcheckReport report;
    report.add(finding);
    return report;
  }
  GradcheckReport report = check_function(function, inputs, options, subject);
  if (report.failed == 0) return report;
  if (options.order > 1) {
    GradientOptions gradient_options;
    gradient_options.cotangents = {tape.constant(Tensor::full(output.shape(), 1.0, output.dtype()))};
    gradient_options.zero_unused = true;
    gradients(std::vector<Var>{output}, wrt, gradient_options);
  }
  const GradcheckReport nodes = check_nodes(tape, tape.size(), options, subject.command);
  report.first_wrong_node = nodes.first_wrong_node;
  return report.first_wrong_node ? report : without_kinks(report, nodes);
}

}  // namespace wengert
