#include "table_case.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <new>

#include <fmt/format.h>

#include <wengert/engine/device.hpp>
#include <wengert/engine/error.hpp>
#include <wengert/engine/executor.hpp>
#include <wengert/engine/gradcheck.hpp>
#include <wengert/engine/random.hpp>

namespace wengert::test {

std::string Case::text() const { return fmt::format("{}/{}/{}/{}", op.name, kernel.backend, name(dtype), number); }

std::vector<Spec> Case::specs() const {
  std::vector<Spec> result;
  for (const Tensor& input : inputs) result.push_back(input.spec());
  return result;
}

std::uint32_t Case::batched() const {
  std::uint32_t bits = 0;
  for (std::size_t i = 0; i < sample.inputs.size(); ++i) bits |= sample.inputs[i].batched ? 1u << i : 0u;
  return bits;
}

Index Case::batch() const {
  Index rows = -1;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (!sample.inputs[i].batched) continue;
    if (rows >= 0 && rows != inputs[i].shape()[0]) return -1;
    rows = inputs[i].shape()[0];
  }
  return rows;
}

BatchEffect Case::effect() const {
  const std::vector<Spec> all = specs();
  return op.batch({{sample.attributes, all}, batched()});
}

void Failures::add(const Case& at, const std::string& what) {
  result_.failures.push_back(fmt::format("[{0}] {1}; seed {2}; alone: WENGERT_CASE={0}", at.text(), what, table_seed));
}

bool selected(const std::string& op, const std::string& kernel, const std::string& dtype, const std::string& number) {
  const char* const wanted = std::getenv("WENGERT_CASE");
  if (wanted == nullptr) return true;
  std::string rest = wanted;
  for (const std::string& part : {op, kernel, dtype, number}) {
    const std::size_t slash = rest.find('/');
    const std::string pattern = rest.substr(0, slash);
    if (!pattern.empty() && pattern != "*" && part != "*" && pattern != part) return false;
    rest = slash == std::string::npos ? "" : rest.substr(slash + 1);
  }
  return true;
}

Index selected_number() {
  const char* const wanted = std::getenv("WENGERT_CASE");
  const std::string text = wanted == nullptr ? "" : wanted;
  if (std::count(text.begin(), text.end(), '/') != 3 || text.back() == '*') return -1;
  return std::atoi(text.c_str() + text.rfind('/') + 1);
}

std::string refusal_of(const Kernel& kernel, const Attributes& attributes, const std::vector<Spec>& specs, DType dtype) {
  if (!kernel.dtypes.empty() && std::find(kernel.dtypes.begin(), kernel.dtypes.end(), dtype) == kernel.dtypes.end())
    return "no version for this dtype";
  return kernel.refuse ? kernel.refuse({attributes, specs, {}, {kernel.device, 0}}) : std::string();
}

Failures for_each_case(const Catalogue& catalogue, const std::function<void(const Case&, Failures&)>& body, bool integers) {
  Failures failures;
  for (const std::string& op_name : catalogue.names()) {
    if (!selected(op_name)) continue;
    const Op& op = catalogue.at(op_name);
    const std::vector<Sample> samples = op.samples();
    for (Index number = 0; number < static_cast<Index>(samples.size()); ++number) {
      const Sample& sample = samples[static_cast<std::size_t>(number)];
      for (const DType dtype : {DType::f32, DType::f64}) {
        const std::vector<Tensor> inputs = sample_tensors(op, samples, number, {table_seed, dtype, integers});
        for (const Kernel& kernel : op.kernels) {
          const Case at{op, sample, number, kernel, dtype, inputs};
          if (!selected(op_name, kernel.backend, name(dtype), std::to_string(number))) continue;
          try {
            const std::vector<Spec> specs = at.specs();
            if (!refusal_of(kernel, sample.attributes, specs, deciding_dtype(specs, op.shapes({sample.attributes, specs}))).empty())
              continue;
            failures.count();
            body(at, failures);
          } catch (const std::exception& error) {
            failures.add(at, std::string("threw: ") + error.what());
          }
        }
      }
    }
  }
  return failures;
}

namespace {

constexpr unsigned char sentinel = 0xA5;
constexpr std::size_t guard = 512;  // bytes on each side

// An output between sentinels: on the host aligned to its element alone, on a device as all memory there.
class Guarded {
 public:
  Guarded(const Spec& spec, const std::string& what, DeviceRuntime* runtime) : spec_(spec), what_(what), runtime_(runtime) {
    bytes_ = static_cast<std::size_t>(spec.shape.elements() * size_of(spec.dtype));
    front_ = guard + (runtime == nullptr ? static_cast<std::size_t>(size_of(spec.dtype)) : 0);
    memory_.assign(front_ + bytes_ + guard + Tensor::alignment, sentinel);
    start_ = (Tensor::alignment - reinterpret_cast<std::uintptr_t>(memory_.data()) % Tensor::alignment) % Tensor::alignment;
    if (runtime == nullptr) return;
    start_ = 0;
    there_ = Tensor::copy(memory_.data(), Shape{static_cast<Index>(memory_.size())}).to(runtime->device());
  }
  View view() {
    auto* const base = there_ ? static_cast<unsigned char*>(there_.memory().data) : memory_.data();
    return {base + start_ + front_, spec_.shape, spec_.dtype, Layout::nchw};
  }
  void fetch() {
    if (there_) runtime_->queue().download(memory_.data(), there_.memory().data, static_cast<Index>(memory_.size()));
  }
  Tensor value() {
    Tensor result = Tensor::uninitialised(spec_);
    if (bytes_ > 0) std::memcpy(result.mutable_view().data, memory_.data() + start_ + front_, bytes_);
    return result;
  }
  std::string damage() const {
    for (std::size_t i = 0; i < memory_.size(); ++i) {
      const std::size_t begin = start_ + front_, end = begin + bytes_;
      if ((i >= begin && i < end) || memory_[i] == sentinel) continue;
      return i < begin ? fmt::format("wrote {} bytes before {}", begin - i, what_)
                       : fmt::format("wrote {} bytes after {}", i - end + 1, what_);
    }
    return {};
  }

 private:
  Spec spec_;
  std::string what_;
  std::size_t bytes_ = 0, front_ = 0, start_ = 0;
  std::vector<unsigned char> memory_;
  DeviceRuntime* runtime_;
  Tensor there_ = {};  // the memory on the device
};

Shape with_rows(const Shape& shape, Index rows) {
  Shape result = shape;
  if (result.rank() > 0) result[0] = rows;
  return result;
}

}  // namespace

DirectCall call_directly(const Case& at, const Kernel& kernel, const std::vector<Tensor>& inputs, Index first, Index rows) {
  std::vector<Spec> specs, chunk_specs;
  for (const Tensor& input : inputs) specs.push_back(input.spec());
  const std::uint32_t carried = rows >= 0 ? at.effect().carried : 0;
  const std::shared_ptr<DeviceRuntime> runtime = kernel.device == Device::Kind::cpu ? nullptr : device_runtime({kernel.device, 0});
  const std::vector<Tensor> used = moved(inputs, {kernel.device, 0});
  std::vector<Tensor> before;
  std::vector<View> views;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    before.push_back(Tensor::uninitialised(inputs[i].spec()));
    std::memcpy(before.back().mutable_view().data, inputs[i].view().data, static_cast<std::size_t>(inputs[i].view().bytes()));
    const bool cut = rows >= 0 && at.sample.inputs[i].batched;
    views.push_back(cut ? used[i].memory().rows(first, rows) : used[i].memory());
    chunk_specs.push_back({views.back().shape, views.back().dtype});
  }
  std::vector<Guarded> outputs;
  std::vector<View> output_views;
  const std::vector<Spec> output_specs = at.op.shapes({at.sample.attributes, specs});
  for (std::size_t o = 0; o < output_specs.size(); ++o) {
    const bool cut = rows >= 0 && ((carried >> o) & 1u) != 0;
    outputs.emplace_back(Spec{cut ? with_rows(output_specs[o].shape, rows) : output_specs[o].shape, output_specs[o].dtype},
                         fmt::format("output {}", o), runtime.get());
  }
  for (Guarded& output : outputs) output_views.push_back(output.view());
  const Index wanted_bytes = kernel.workspace ? kernel.workspace({at.sample.attributes, chunk_specs, {}, {kernel.device, 0}}) : 0;
  const auto room = static_cast<std::size_t>(wanted_bytes);
  Tensor workspace = Tensor::full({wanted_bytes + static_cast<Index>(guard)}, sentinel, DType::u8).to({kernel.device, 0});
  {
    const FloatEnvironment environment(true);
    KernelCall call{at.sample.attributes, views, output_views, first, kernel.workspace ? workspace.memory().data : nullptr};
    call.queue = runtime ? &runtime->queue() : nullptr;
    kernel.run(call);
  }
  workspace = workspace.to({});
  for (Guarded& output : outputs) output.fetch();
  DirectCall result;
  for (std::size_t o = 0; o < outputs.size(); ++o) {
    result.outputs.push_back(outputs[o].value());
    if (result.damage.empty()) result.damage = outputs[o].damage();
  }
  for (std::size_t i = 0; i < guard && result.damage.empty(); ++i) {
    if (workspace.values<std::uint8_t>()[room + i] != sentinel)
      result.damage = fmt::format("wrote {} bytes behind its workspace of {}", i + 1, room);
  }
  for (std::size_t i = 0; i < inputs.size() && result.damage.empty(); ++i) {
    if (!same_bits(before[i], used[i].to({}))) result.damage = fmt::format("changed its input {}", i);
  }
  return result;
}

std::vector<Tensor> moved(const std::vector<Tensor>& tensors, Device device) {
  std::vector<Tensor> result;
  for (const Tensor& tensor : tensors) result.push_back(tensor.to(device));
  return result;
}

std::vector<Tensor> cast_all(const std::vector<Tensor>& tensors, DType dtype) {
  std::vector<Tensor> result;
  for (const Tensor& tensor : tensors) result.push_back(is_float(tensor.dtype()) ? tensor.cast(dtype) : tensor);
  return result;
}

Tensor random_like(const Spec& spec, const std::string& name, bool integers) {
  SampleInput description;
  description.shape = spec.shape;
  return sample_tensor(name, 0, 0, description, {table_seed, spec.dtype, integers});
}

std::optional<std::string> differ(const Tensor& got, const Tensor& wanted, double factor, const Tensor& magnitude) {
  if (got.shape() != wanted.shape()) return fmt::format("shape {}, wanted {}", got.shape().text(), wanted.shape().text());
  const bool exact = !is_float(got.dtype());
  double largest = 0;
  for (Index i = 0; i < wanted.elements(); ++i) {
    if (const double value = std::abs(wanted.at(i)); std::isfinite(value)) largest = std::max(largest, value);
  }
  for (Index i = 0; i < wanted.elements(); ++i) {
    const double a = got.at(i), b = wanted.at(i);
    const double bound = exact ? 0.0 : factor * (std::abs(b) + largest + (magnitude ? std::abs(magnitude.at(i)) : 0.0));
    const bool agree = std::isnan(b) ? std::isnan(a) : std::isinf(b) ? a == b : std::abs(a - b) <= bound;
    if (agree) continue;
    const std::string position = position_text(wanted.shape(), i);
    return fmt::format("at index {} {} of {}: {:.9g}, wanted {:.9g} +- {:.2g}", i, position, got.shape().text(), a, b, bound);
  }
  return std::nullopt;
}

std::optional<std::string> differ(const std::vector<Tensor>& got, const std::vector<Tensor>& wanted, double factor,
                                  const std::vector<Tensor>& magnitude) {
  if (got.size() != wanted.size()) return fmt::format("{} values, wanted {}", got.size(), wanted.size());
  for (std::size_t o = 0; o < got.size(); ++o) {
    if (const auto what = differ(got[o], wanted[o], factor, magnitude.empty() ? Tensor() : magnitude[o]))
      return fmt::format("value {} {}", o, *what);
  }
  return std::nullopt;
}

bool same_bits(const Tensor& a, const Tensor& b) {
  return a.spec() == b.spec() && std::memcmp(a.view().data, b.view().data, static_cast<std::size_t>(a.view().bytes())) == 0;
}

double rounding_factor(const Case& at, double units) {
  double elements = 0;
  for (const Tensor& input : at.inputs) elements += static_cast<double>(input.elements());
  return (at.dtype == DType::f32 ? 1.2e-7 : 2.3e-16) * units * (8 + std::sqrt(elements));
}

bool all_integers(const std::vector<Tensor>& tensors) {
  for (const Tensor& tensor : tensors) {
    for (Index i = 0; i < tensor.elements(); ++i) {
      if (const double value = tensor.at(i); value != std::trunc(value)) return false;
    }
  }
  return true;
}

std::string contradiction(const Case& at) {
  const BatchEffect effect = at.effect();
  const std::vector<Spec> specs = at.specs();
  const std::vector<Spec> whole = at.op.shapes({at.sample.attributes, specs});
  const Index batch = at.batch(), half = batch / 2;
  std::vector<Spec> halves = specs, part;
  for (std::size_t i = 0; i < halves.size(); ++i) {
    if (at.sample.inputs[i].batched) halves[i].shape[0] = half;
  }
  try {
    part = at.op.shapes({at.sample.attributes, halves});
  } catch (const Error&) {
    part = whole;  // its attributes hold the whole batch: nothing to learn
  }
  for (std::size_t o = 0; o < whole.size(); ++o) {
    const bool carries = ((effect.carried >> o) & 1u) != 0;
    if (carries && (whole[o].shape.rank() == 0 || whole[o].shape[0] != batch)) {
      return fmt::format("output {} {} is said to carry a batch of {}", o, whole[o].text(), batch);
    }
    if (!carries && effect.kind == BatchEffect::Kind::per_image)
      return fmt::format("output {} is per image and does not carry the batch", o);
    if (carries && effect.kind == BatchEffect::Kind::sums) return fmt::format("output {} is a sum over images and carries the batch", o);
    if (effect.kind == BatchEffect::Kind::sums && part[o] != whole[o]) {
      return fmt::format("output {} is a sum over images and {} for {} images, {} for {}", o, whole[o].text(), batch, part[o].text(), half);
    }
  }
  return {};
}

}  // namespace wengert::test
