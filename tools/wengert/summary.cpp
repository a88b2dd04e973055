// wengert summary: a model script's layers with output shapes, parameters, FLOPs and kernels, and its graph as DOT.
#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <wengert/engine/context.hpp>
#include <wengert/engine/error.hpp>
#include <wengert/models/script.hpp>
#include <wengert/ops/catalogue.hpp>

#include "command.hpp"
#include "data.hpp"
#include "json.hpp"
#include "options.hpp"
#include "output.hpp"

namespace wengert::command {

namespace {

using Json = nlohmann::ordered_json;

struct Request {
  std::string script, kernel = "auto";
  Device device = {};
  bool as_dot = false, as_json = false;
};

bool is_parameter(const Node& node) { return node.op->name == "parameter"; }

Shape output_shape(const Node& node) { return node.outputs.front().shape(); }

std::vector<Spec> input_specs(const Tape& tape, const Node& node) {
  std::vector<Spec> specs;
  for (const Node::Input& input : node.inputs)
    specs.push_back(tape.node(input.node).outputs[static_cast<std::size_t>(input.output)].spec());
  return specs;
}

// For the whole batch.
double flops_of(const Tape& tape, const Node& node) {
  if (!node.op->flops) return 0;
  const std::vector<Spec> specs = input_specs(tape, node);
  return node.op->flops({node.attributes, specs});
}

std::string kernel_of(const Tape& tape, const Node& node, const KernelChoice& choice, Device device) {
  const std::vector<Spec> specs = input_specs(tape, node);
  try {
    const OpQuery query{node.attributes, specs, {}, device};
    return choose_kernel(*node.op, query, node.op->shapes(query), choice).backend;
  } catch (const Error& error) {
    fail(node.text() + " " + error.what());
  }
}

// "(N,8,24,24)" for values of the batch.
std::string shape_text(const Node& node) {
  const Shape shape = output_shape(node);
  if ((node.batched & 1u) == 0 || shape.rank() == 0) return shape.text();
  std::string text = "(N";
  for (int axis = 1; axis < shape.rank(); ++axis) text += "," + std::to_string(shape[axis]);
  return text + ")";
}

// The nodes of one layer: they bear its name.
struct Row {
  std::string name, kind, output;
  int line = 0;
  Index parameters = 0;
  double flops = 0;         // for one image
  std::string kernel = {};  // of its most costly op
  double most = -1;
  std::map<std::string, std::string> kernels = {};  // of all its ops
};

struct Summary {
  Script script;
  Tape tape{builtin_catalogue(), Tape::Mode::declaring};  // with kernels for devices
  std::vector<Row> rows = {};
  Index parameters = 0;
  double flops = 0;
};

Summary summarise(const Request& request) {
  Summary summary{open_script(request.script)};
  const KernelChoice choice = KernelChoice::parse(request.kernel);
  Shape batch{summary.script.options.batch};
  for (const Index size : summary.script.input) batch.push_back(size);
  const Scope scope;
  Context::current().recording = true;
  summary.script.network(summary.tape.batch(Tensor::declared({batch, DType::f32}), "input"));

  std::map<std::string, Index> trained;
  for (const Parameter& parameter : summary.tape.parameters()) {
    if (parameter.role() == Parameter::Role::trained) trained[parameter.name()] = parameter.shape().elements();
  }
  const double images = static_cast<double>(summary.script.options.batch);
  std::set<Index> counted;
  for (const ScriptLayer& layer : summary.script.layers) summary.rows.push_back({layer.name, layer.kind, {}, layer.line});
  for (Index id = 0; id < summary.tape.size(); ++id) {
    const Node& node = summary.tape.node(id);
    if (node.op->kernels.empty()) continue;
    Row& row = *std::find_if(summary.rows.begin(), summary.rows.end(), [&](const Row& candidate) { return candidate.name == node.name; });
    row.output = shape_text(node);
    const double flops = flops_of(summary.tape, node) / images;
    row.flops += flops;
    const std::string kernel = kernel_of(summary.tape, node, choice, request.device);
    row.kernels[node.op->name] = kernel;
    if (flops > row.most) {
      row.most = flops;
      row.kernel = kernel;
    }
    for (const Node::Input& input : node.inputs) {
      const Node& source = summary.tape.node(input.node);
      if (is_parameter(source) && counted.insert(input.node).second) row.parameters += trained[source.name];
    }
  }
  for (const Row& row : summary.rows) {
    summary.parameters += row.parameters;
    summary.flops += row.flops;
  }
  return summary;
}

std::string thousands(double number) {
  std::string digits = fmt::format("{:.0f}", number);
  for (std::size_t at = digits.size(); at > 3; at -= 3) digits.insert(at - 3, ",");
  return digits;
}

void print_table(const Summary& summary) {
  const Script& script = summary.script;
  Table table({"layer", "kind", "line", "output", "parameters", "FLOPs/image", "kernel"}, {2, 4, 5});
  for (const Row& row : summary.rows) {
    table.add({row.name, row.kind, std::to_string(row.line), row.output, thousands(static_cast<double>(row.parameters)),
               thousands(row.flops), row.kernel});
  }
  print_line(fmt::format("{}: input (N,{},{},{}), batch {}", script.name, script.input[0], script.input[1], script.input[2],
                         script.options.batch));
  print_line(table.text());
  print_line(
      fmt::format("{} parameters, {} FLOPs an image forward (of convolutions and matrix products, a multiply and an add counted as two)",
                  thousands(static_cast<double>(summary.parameters)), thousands(summary.flops)));
}

void print_json(const Summary& summary) {
  const Script& script = summary.script;
  Json layers = Json::array();
  for (const Row& row : summary.rows) {
    layers.push_back({{"name", row.name},
                      {"kind", row.kind},
                      {"line", row.line},
                      {"output", row.output},
                      {"parameters", row.parameters},
                      {"flops", row.flops},
                      {"kernel", row.kernel},
                      {"kernels", row.kernels}});
  }
  const Json input = {script.input[0], script.input[1], script.input[2]};
  print_line(json_text(Json{{"name", script.name},
                            {"input", input},
                            {"batch", script.options.batch},
                            {"parameters", summary.parameters},
                            {"flops", summary.flops},
                            {"layers", layers}}));
}

void print_dot(const Summary& summary) {
  print_line("digraph " + dot_quoted(summary.script.name) + " {\n  node [shape=box, style=rounded];");
  for (Index id = 0; id < summary.tape.size(); ++id) {
    const Node& node = summary.tape.node(id);
    const bool leaf = node.op->kernels.empty();
    const std::string title = leaf ? node.name : node.name.empty() ? node.op->name : node.op->name + " " + node.name;
    const char* const style = is_parameter(node) ? ", style=filled, fillcolor=lightgrey" : leaf ? ", style=bold" : "";
    print_line(fmt::format("  n{} [label={}{}];", id, dot_quoted(title + "\n" + shape_text(node)), style));
    for (const Node::Input& input : node.inputs) print_line(fmt::format("  n{} -> n{};", input.node, id));
  }
  print_line("}");
}

}  // namespace

void add_summary(CLI::App& app, int& status) {
  CLI::App* summary = app.add_subcommand("summary", "Show a model script's layers: output shapes, parameters, FLOPs, kernels");
  auto request = std::make_shared<Request>();
  summary->add_option("script", request->script, "A model script or the name of an installed one, or a saved model")->required();
  summary->add_option("--kernel", request->kernel, kernel_help());
  add_device(*summary, request->device);
  CLI::Option* dot = summary->add_flag("--dot", request->as_dot, "Print the graph in the DOT language of Graphviz");
  summary->add_flag("--json", request->as_json, "Print JSON")->excludes(dot);
  summary->footer(
      "Example:\n"
      "  wengert summary mnist_cnn\n"
      "  wengert summary model.safetensors --dot | dot -Tsvg > resnet.svg");
  summary->callback([request, &status] {
    const Summary result = summarise(*request);
    if (request->as_dot) print_dot(result);
    else if (request->as_json) print_json(result);
    else print_table(result);
    status = success;
  });
}

}  // namespace wengert::command
