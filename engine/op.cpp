#include <wengert/engine/op.hpp>

#include <algorithm>
#include <mutex>

#include <fmt/format.h>

#include <wengert/engine/error.hpp>

namespace wengert {

std::string OpQuery::text(int input) const {
  const auto i = static_cast<std::size_t>(input);
  std::string result = inputs[i].text();
  if (i < input_names.size() && !input_names[i].empty()) result += " from '" + input_names[i] + "'";
  return result;
}

const Var& VjpCall::input(int i) const {
  if (((op_.keeps.inputs >> i) & 1u) == 0) fail(fmt::format("[{}] its vjp reads input {}, which the op does not keep", op_.name, i));
  return inputs_[static_cast<std::size_t>(i)];
}

const Var& VjpCall::output(int o) const {
  if (((op_.keeps.outputs >> o) & 1u) == 0) fail(fmt::format("[{}] its vjp reads output {}, which the op does not keep", op_.name, o));
  return outputs_[static_cast<std::size_t>(o)];
}

const Kernel* Op::kernel(const std::string& backend) const {
  for (const Kernel& candidate : kernels) {
    if (candidate.backend == backend) return &candidate;
  }
  return nullptr;
}

namespace {

std::mutex backends_mutex;

std::vector<std::string>& backends() {
  static std::vector<std::string> names = {"naive",       "matrix",     "im2col",    "direct",     "winograd", "cuda-plain",
                                           "cuda-im2col", "cuda-tiled", "cuda-gemm", "cuda-cudnn", "cuda"};
  return names;
}

// The reason why a kernel cannot take a call, or empty.
std::string refusal(const Kernel& kernel, const OpQuery& query, DType dtype) {
  if (kernel.device != query.device.kind)
    return fmt::format("it is for {}, the values are on {}", name(kernel.device), name(query.device.kind));
  if (!kernel.dtypes.empty() && std::find(kernel.dtypes.begin(), kernel.dtypes.end(), dtype) == kernel.dtypes.end()) {
    return fmt::format("it has no {} version", name(dtype));
  }
  return kernel.refuse ? kernel.refuse(query) : std::string();
}

}  // namespace

std::vector<std::string> known_backends() {
  const std::lock_guard lock(backends_mutex);
  return backends();
}

void add_known_backend(const std::string& backend) {
  const std::lock_guard lock(backends_mutex);
  auto& names = backends();
  if (std::find(names.begin(), names.end(), backend) == names.end()) names.push_back(backend);
}

KernelChoice KernelChoice::parse(const std::string& text) {
  KernelChoice choice;
  choice.backend = text;
  if (const auto comma = text.find(','); comma != std::string::npos) {
    choice.backend = text.substr(0, comma);
    if (text.substr(comma + 1) != "auto") fail("[kernel] wanted a kernel name, or NAME,auto to fall back, got '" + text + "'");
    choice.fall_back = true;
  }
  if (choice.backend == "auto") return {};
  std::vector<std::string> valid = known_backends();
  valid.insert(valid.begin(), "auto");
  if (std::find(valid.begin(), valid.end(), choice.backend) == valid.end()) {
    fail("[kernel] unknown kernel '" + choice.backend + "'" + suggestion(choice.backend, valid));
  }
  return choice;
}

std::string KernelChoice::text() const { return backend.empty() ? "auto" : backend + (fall_back ? ",auto" : ""); }

DType deciding_dtype(std::span<const Spec> inputs, std::span<const Spec> outputs) {
  for (const auto& specs : {inputs, outputs}) {
    for (const Spec& spec : specs) {
      if (is_float(spec.dtype)) return spec.dtype;
    }
  }
  return outputs.empty() ? (inputs.empty() ? DType::f32 : inputs.front().dtype) : outputs.front().dtype;
}

KernelOrder kernel_order(const Op& op, const OpQuery& query) {
  KernelOrder order;
  std::vector<const Kernel*> later;
  for (auto kernel = op.kernels.rbegin(); kernel != op.kernels.rend(); ++kernel) {
    if (kernel->device != query.device.kind) continue;
    const std::string reason = kernel->slower ? kernel->slower(query) : std::string();
    (reason.empty() ? order.kernels : later).push_back(&*kernel);
    if (!reason.empty() && order.kernels.empty()) order.passed_over += fmt::format("; not {}: {}", kernel->backend, reason);
  }
  order.kernels.insert(order.kernels.end(), later.begin(), later.end());
  return order;
}

const Kernel& choose_kernel(const Op& op, const OpQuery& query, std::span<const Spec> outputs, const KernelChoice& choice) {
  const DType dtype = deciding_dtype(query.inputs, outputs);
  if (!choice.backend.empty()) {
    if (const Kernel* wanted = op.kernel(choice.backend)) {
      const std::string reason = refusal(*wanted, query, dtype);
      if (reason.empty()) return *wanted;
      if (!choice.fall_back) {
        fail(fmt::format("kernel {} refuses: {}; '{},auto' would take another kernel here", choice.backend, reason, choice.backend));
      }
    }
  }
  std::string reasons;
  for (const Kernel* kernel : kernel_order(op, query).kernels) {
    const std::string reason = refusal(*kernel, query, dtype);
    if (reason.empty()) return *kernel;
    reasons += fmt::format("; {}: {}", kernel->backend, reason);
  }
  if (query.device.kind != Device::Kind::cpu && reasons.empty()) fail(fmt::format("it has no kernel for {}", name(query.device.kind)));
  fail("no kernel takes this call" + reasons);
}

}  // namespace wengert
