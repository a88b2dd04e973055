// wengert evaluate: accuracy, loss, recall and precision of each class, confusion matrix.
#include <cmath>
#include <memory>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <wengert/backends/tbb/executor.hpp>
#include <wengert/engine/context.hpp>
#include <wengert/engine/error.hpp>
#include <wengert/models/evaluation.hpp>
#include <wengert/models/saved.hpp>

#include "command.hpp"
#include "data.hpp"
#include "json.hpp"
#include "options.hpp"
#include "planned.hpp"

namespace wengert::command {

namespace {

struct EvaluateArguments {
  std::string model, script, data, tuning;
  int threads = 0;
  bool json = false, eager = false;
  Device device;
};

std::string percent(double fraction) { return std::isnan(fraction) ? "     -" : fmt::format("{:5.2f}%", 100 * fraction); }

nlohmann::json number_or_null(double value) { return std::isnan(value) ? nlohmann::json(nullptr) : nlohmann::json(value); }

void print_json(const Evaluation& e) {
  nlohmann::json out = {
      {"accuracy", e.accuracy}, {"loss", e.loss}, {"images", e.images}, {"confusion", e.confusion}, {"per_class", nlohmann::json::array()}};
  for (Index c = 0; c < static_cast<Index>(e.confusion.size()); ++c) {
    out["per_class"].push_back({{"class", c}, {"recall", number_or_null(e.recall(c))}, {"precision", number_or_null(e.precision(c))}});
  }
  print_line(json_text(out, -1));
}

void print_table(const Evaluation& e) {
  fmt::print("accuracy {:.2f}%  loss {:.4f}  on {} images\n\nclass   recall  precision   predicted as", 100 * e.accuracy, e.loss, e.images);
  const auto classes = static_cast<Index>(e.confusion.size());
  for (Index c = 0; c < classes; ++c) fmt::print("{:>6}", c);
  fmt::print("\n");
  for (Index c = 0; c < classes; ++c) {
    fmt::print("{:>5}  {}     {}               ", c, percent(e.recall(c)), percent(e.precision(c)));
    for (const Index count : e.confusion[static_cast<std::size_t>(c)]) fmt::print("{:>6}", count);
    fmt::print("\n");
  }
}

int run(const EvaluateArguments& a) {
  set_threads(a.threads);
  const Script script = script_of(a.model, a.script);
  Context::current().tuning = open_tuning(a.tuning, script.name, a.threads, a.device);
  Model model = load_model(a.model, script);
  model.to(a.device);
  const Evaluation result = evaluate(model, open_dataset_of(a.model, a.data, script.data, Split::test), a.eager);
  if (!std::isfinite(result.loss)) fail("[evaluate] the network of '" + a.model + "' gives values that are not finite");
  a.json ? print_json(result) : print_table(result);
  return success;
}

}  // namespace

void add_evaluate(CLI::App& app, int& status) {
  auto a = std::make_shared<EvaluateArguments>();
  CLI::App* sub = app.add_subcommand("evaluate", "Measure a saved model on the test set");
  sub->footer("Example:\n  wengert evaluate model.safetensors --json");
  sub->add_option("model", a->model, "Saved model")->required();
  sub->add_option("--script", a->script, "The model's script, where its file carries none");
  sub->add_option("--data", a->data, "Folder with the IDX files of a data set");
  sub->add_option("--threads", a->threads, "0 means all, the default")->check(whole_number(0, most_threads));
  sub->add_option("--tuning", a->tuning, "File of `wengert tune` to choose kernels by");
  add_device(*sub, a->device);
  sub->add_flag("--eager", a->eager, "Run op by op, instead of a plan");
  sub->add_flag("--json", a->json, "Print JSON");
  sub->callback([a, &status] { status = run(*a); });
}

}  // namespace wengert::command
