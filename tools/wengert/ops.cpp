// wengert ops: every built-in op, its kernels, their dtypes, and where they refuse.
#include <algorithm>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <wengert/ops/catalogue.hpp>

#include "command.hpp"
#include "output.hpp"

namespace wengert::command {

namespace {

using Json = nlohmann::ordered_json;

struct KernelState {
  std::vector<std::string> dtypes;
  Index samples = 0, refused = 0;    // of the op's sample calls in the kernel's first dtype
  std::vector<std::string> reasons;  // each once
  bool elsewhere = false;            // on a device

  bool available() const { return !elsewhere && (samples == 0 || refused < samples); }
};

KernelState state_of(const Op& op, const Kernel& kernel) {
  KernelState state;
  const std::vector<DType> all = {DType::f32, DType::f64, DType::i32, DType::u8};
  for (const DType dtype : kernel.dtypes.empty() ? all : kernel.dtypes) state.dtypes.push_back(name(dtype));
  if (kernel.device != Device::Kind::cpu) {  // what it refuses is known where such a device is open
    state.elsewhere = true;
    return state;
  }
  for (const Sample& sample : op.samples()) {
    ++state.samples;
    if (!kernel.refuse) continue;
    std::vector<Spec> specs;
    for (const SampleInput& input : sample.inputs) {
      const DType floating = kernel.dtypes.empty() ? DType::f32 : kernel.dtypes.front();
      specs.push_back({input.shape, input.fill == SampleInput::Fill::classes ? DType::i32 : floating});
    }
    const std::string reason = kernel.refuse({sample.attributes, specs});
    if (reason.empty()) continue;
    ++state.refused;
    if (std::find(state.reasons.begin(), state.reasons.end(), reason) == state.reasons.end()) state.reasons.push_back(reason);
  }
  return state;
}

const char* text(Op::Smoothness smoothness) {
  switch (smoothness) {
    case Op::Smoothness::multilinear: return "multilinear";
    case Op::Smoothness::smooth: return "smooth";
    case Op::Smoothness::kinked: return "kinked";
    default: return "constant";
  }
}

Json json_of(const Op& op) {
  Json kernels = Json::array();
  for (const Kernel& kernel : op.kernels) {
    const KernelState state = state_of(op, kernel);
    kernels.push_back({{"backend", kernel.backend},
                       {"dtypes", state.dtypes},
                       {"device", name(kernel.device)},
                       {"available", state.available()},
                       {"samples", state.samples},
                       {"refused", state.refused},
                       {"reasons", state.reasons}});
  }
  Json inputs = {{"least", op.min_inputs}, {"most", op.max_inputs == Op::any_number ? Json() : Json(op.max_inputs)}};
  return {{"name", op.name}, {"summary", op.summary}, {"inputs", inputs}, {"gradient", text(op.smoothness)}, {"kernels", kernels}};
}

// "im2col f32 f64 (refuses 2 of 10 samples: dilation)"
std::string text_of(const Op& op, const Kernel& kernel) {
  const KernelState state = state_of(op, kernel);
  std::string result = fmt::format("{} {}", kernel.backend, fmt::join(state.dtypes, " "));
  if (state.elsewhere) return fmt::format("{} on {}", result, name(kernel.device));
  if (!state.available()) return result + fmt::format(" (not available here: {})", fmt::join(state.reasons, "; "));
  if (state.refused > 0)
    result += fmt::format(" (refuses {} of {} samples: {})", state.refused, state.samples, fmt::join(state.reasons, "; "));
  return result;
}

void list_ops(bool as_json) {
  const Catalogue catalogue = builtin_catalogue();
  const std::vector<std::string> names = catalogue.names();
  if (as_json) {
    Json ops = Json::array();
    for (const std::string& name : names) ops.push_back(json_of(catalogue.at(name)));
    print_line(Json{{"ops", ops}}.dump(2));
    return;
  }
  Table table({"op", "kernels, the best last", "what it is"});
  for (const std::string& name : names) {
    const Op& op = catalogue.at(name);
    std::string kernels;
    for (const Kernel& kernel : op.kernels) kernels += (kernels.empty() ? "" : ", ") + text_of(op, kernel);
    table.add({name, kernels, op.summary});
  }
  print_line(table.text());
  print_line(
      fmt::format("{} ops. Every kernel listed is built in and runs on this machine unless it says why not; those on cuda run where CUDA "
                  "was built in and a "
                  "device is, cuda-cudnn where cuDNN was found too.",
                  names.size()));
}

}  // namespace

void add_ops(CLI::App& app, int& status) {
  CLI::App* ops = app.add_subcommand("ops", "List every op, its kernels and dtypes, and which are available here");
  auto as_json = std::make_shared<bool>(false);
  ops->add_flag("--json", *as_json, "Print JSON");
  ops->footer("Example:\n  wengert ops --json");
  ops->callback([as_json, &status] {
    list_ops(*as_json);
    status = success;
  });
}

}  // namespace wengert::command
