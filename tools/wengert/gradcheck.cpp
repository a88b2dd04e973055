// wengert gradcheck: compares the gradients of an op, of every op or of a network with differences of the function itself.
#include "gradcheck.hpp"

#include <filesystem>
#include <memory>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <wengert/engine/error.hpp>
#include <wengert/engine/random.hpp>
#include <wengert/models/mnist_cnn.hpp>
#include <wengert/models/saved.hpp>
#include <wengert/ops/catalogue.hpp>

#include "command.hpp"
#include "data.hpp"
#include "json.hpp"
#include "options.hpp"
#include "output.hpp"

namespace wengert::command {

namespace {

using Json = nlohmann::ordered_json;

// The loss of a network on a batch of two random images in [0, 1), with random labels.
GradcheckReport check_network(const Model& model, const GradcheckOptions& options, const std::string& command) {
  if (options.only_case >= 0) fail("[gradcheck] wanted an op with --case: a network has no sample cases");
  constexpr Index batch = 2;
  Shape shape{batch};
  for (const Index size : model.image()) shape.push_back(size);
  std::vector<double> pixels(static_cast<std::size_t>(shape.elements()));
  fill_uniform(random_stream(options.seed, "gradcheck images"), pixels, 0.0, 1.0);
  std::vector<std::int32_t> labels(static_cast<std::size_t>(batch));
  const RandomStream random = random_stream(options.seed, "gradcheck labels");
  for (Index i = 0; i < batch; ++i) {
    labels[static_cast<std::size_t>(i)] = static_cast<std::int32_t>(random.uniform(i) * static_cast<double>(model.classes()));
  }
  const auto loss = [&](std::span<const Var> data) { return softmax_cross_entropy(model.network()(data[0]), data[1]); };
  return check_model(loss, {Tensor::copy(pixels.data(), shape), Tensor::copy(labels.data(), Shape{batch})}, options, command);
}

Model read_network(const std::string& subject) {
  if (is_saved_model(subject)) return load_model(subject);
  const Script script = open_script(subject);
  return Model(script.network, script.input, script.text);
}

// An op, unless a file has that name.
bool names_op(const std::string& subject, const Catalogue& catalogue) {
  std::error_code ignored;
  if (std::filesystem::is_regular_file(subject, ignored)) return false;
  if (catalogue.find(subject) != nullptr) return true;
  const std::filesystem::path path = subject;
  if (path.has_extension() || path.has_parent_path()) return false;
  return !std::filesystem::is_regular_file(share_folder() / "scripts" / (subject + ".toml"),
                                           ignored);  // of a misspelt op the catalogue knows the nearest
}

// Of the whole: fail where one fails, else inconclusive where one is.
Verdict verdict_of(const std::vector<GradcheckResult>& results) {
  GradcheckReport all;
  for (const GradcheckResult& result : results) all.merge(result.report);
  return all.verdict();
}

Json json_of(const GradcheckFinding& f) {
  return {{"verdict", name(f.verdict)},
          {"node", f.node},
          {"op", f.op},
          {"case", f.number},
          {"order", f.order},
          {"input", f.input},
          {"input_name", f.input_name},
          {"index", f.index},
          {"position", f.position},
          {"analytic", f.analytic},
          {"numeric", f.numeric},
          {"left", f.left},
          {"right", f.right},
          {"error", f.error},
          {"reason", f.reason},
          {"seed", f.seed},
          {"command", f.command}};
}

Json json_of(const GradcheckResult& result) {
  const GradcheckReport& r = result.report;
  Json findings = Json::array();
  for (const GradcheckFinding& finding : r.findings) findings.push_back(json_of(finding));
  return {{"subject", result.subject},
          {"verdict", name(r.verdict())},
          {"checks", r.checks},
          {"passed", r.passed},
          {"zero", r.zero},
          {"inconclusive", r.inconclusive},
          {"failed", r.failed},
          {"findings", findings},
          {"first_wrong_node", r.first_wrong_node ? json_of(*r.first_wrong_node) : Json()}};
}

}  // namespace

std::vector<GradcheckResult> gradcheck(const GradcheckRequest& request, const Catalogue& catalogue) {
  GradcheckOptions options = request.options;
  options.catalogue = &catalogue;
  std::vector<GradcheckResult> results;
  if (request.all) {
    for (const std::string& op : catalogue.names()) results.push_back({op, check_op(catalogue, op, options, "wengert gradcheck " + op)});
  } else if (request.subject.empty()) {
    results.push_back({"the report's network", check_network(Model(MnistCnn(), {1, 28, 28}), options, "wengert gradcheck")});
  } else if (names_op(request.subject, catalogue)) {
    results.push_back({request.subject, check_op(catalogue, request.subject, options, "wengert gradcheck " + request.subject)});
  } else {
    results.push_back(
        {request.subject, check_network(read_network(request.subject), options, fmt::format("wengert gradcheck '{}'", request.subject))});
  }
  if (const GradcheckReport& first = results.front().report; options.only_input >= 0 && first.checks == 0 && first.findings.empty()) {
    fail(fmt::format("[gradcheck] {} has no input {} that takes a gradient", results.front().subject, options.only_input));
  }
  return results;
}

std::string gradcheck_text(const std::vector<GradcheckResult>& results, const GradcheckOptions& options, bool as_json) {
  const Verdict verdict = verdict_of(results);
  if (as_json) {
    Json subjects = Json::array();
    for (const GradcheckResult& result : results) subjects.push_back(json_of(result));
    const Json all = {{"verdict", name(verdict)}, {"dtype", name(options.dtype)}, {"device", text_of(options.device)},
                      {"seed", options.seed},     {"order", options.order},       {"results", subjects}};
    return json_text(all);
  }
  std::vector<std::string> lines;
  for (const GradcheckResult& result : results) {
    const bool nothing = result.report.checks == 0 && result.report.findings.empty();
    lines.push_back(fmt::format("{}: {}", result.subject, nothing ? "no gradient to check" : result.report.text()));
    for (const GradcheckFinding& finding : result.report.findings) lines.push_back("  " + finding.text());
    if (result.report.first_wrong_node) lines.push_back("  first wrong node: " + result.report.first_wrong_node->text());
  }
  if (results.size() > 1) lines.push_back(fmt::format("{} subjects: {}", results.size(), name(verdict)));
  return fmt::format("{}", fmt::join(lines, "\n"));
}

int gradcheck_status(const std::vector<GradcheckResult>& results) { return verdict_of(results) == Verdict::fail ? check_failed : success; }

void add_gradcheck(CLI::App& app, int& status) {
  struct Arguments {
    GradcheckRequest request;
    std::string dtype;
    bool as_json = false;
  };
  auto arguments = std::make_shared<Arguments>();
  CLI::App* sub = app.add_subcommand("gradcheck", "Compare gradients with finite differences: of an op, of all ops, of a network");
  GradcheckRequest& request = arguments->request;
  CLI::Option* subject = sub->add_option(
      "subject", request.subject, "A file, script or saved model; else an op; else an installed script; default the report's network");
  CLI::Option* all = sub->add_flag("--all", request.all, "Check every op")->excludes(subject);
  sub->add_option("--dtype", arguments->dtype, "One of f64 and f32, default f64; on a device f32")->check(CLI::IsMember({"f64", "f32"}));
  add_device(*sub, request.options.device);
  sub->add_option("--seed", request.options.seed, "Of the values and directions, default 1")->check(seed_number());
  sub->add_option("--order", request.options.order, "2 checks the gradient of the gradient, default 1")->check(whole_number(1, 2));
  sub->add_option("--case", request.options.only_case, "One of the op's sample cases alone, counted from 0")
      ->check(whole_number(0))
      ->excludes(all);
  sub->add_option("--input", request.options.only_input,
                  "One input alone, counted from 0; of a network: parameters in order of first use, then images")
      ->check(whole_number(0))
      ->excludes(all);
  sub->add_flag("--json", arguments->as_json, "Print JSON");
  sub->footer(
      "Examples:\n  wengert gradcheck conv2d --case 4 --input 1\n  wengert gradcheck --all\n"
      "Exit status 1 where a gradient is wrong. Inconclusive: the function has a kink there, so differences cannot tell.\n"
      "On a device the gradients are computed there, the differences on the host, in f64 wherever the function runs in it.");
  sub->callback([arguments, &status] {
    GradcheckOptions& options = arguments->request.options;
    const bool on_device = options.device != Device{};
    if (on_device && arguments->dtype == "f64") fail("[gradcheck] wanted --dtype f32 with --device, whose kernels have no f64");
    options.dtype = arguments->dtype == "f32" || on_device ? DType::f32 : DType::f64;
    const std::vector<GradcheckResult> results = gradcheck(arguments->request, builtin_catalogue());
    print_line(gradcheck_text(results, options, arguments->as_json));
    status = gradcheck_status(results);
  });
}

}  // namespace wengert::command
