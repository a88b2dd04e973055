#include <algorithm>

#include <fmt/format.h>

#include <wengert/engine/context.hpp>
#include <wengert/engine/device.hpp>
#include <wengert/engine/device_catalogue.hpp>
#include <wengert/engine/error.hpp>
#include <wengert/engine/tape.hpp>

namespace wengert {

namespace {

std::string caption_of(const Op& op, const CallOptions& options) { return caption(op.name, options.name, options.site); }

// The tape of the inputs, or null; all recorded inputs must be on the same one.
std::shared_ptr<TapeState> common_tape(const Op& op, std::span<const Var> inputs, const CallOptions& options) {
  std::shared_ptr<TapeState> tape = options.tape != nullptr ? options.tape->state() : nullptr;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const Var& input = inputs[i];
    if (!input) fail(fmt::format("{} input {} is an empty Var", caption_of(op, options), i));
    if (!input.recorded()) continue;
    input.check();
    if (!tape) tape = input.state();
    if (tape != input.state()) {
      fail(fmt::format("{} mixes two tapes: {} and {} (input {} '{}')", caption_of(op, options), Tape(tape).text(),
                       Tape(input.state()).text(), i, input.name()));
    }
  }
  return tape;
}

// Inputs that hold only a value become constants of the tape.
Node::Input input_on(const std::shared_ptr<TapeState>& tape, const Var& input) {
  if (input.recorded()) return {input.node(), input.output()};
  Tape handle(tape);
  const Var leaf = input.batched() ? handle.batch(input.value()) : handle.constant(input.value());
  return {leaf.node(), 0};
}

std::vector<std::string> input_names(std::span<const Var> inputs) {
  std::vector<std::string> names;
  for (const Var& input : inputs) names.push_back(input.name());
  return names;
}

// An op call on the way from its inputs to its outputs.
struct Call {
  const Op& op;
  const Attributes& attributes;
  std::vector<Spec> specs = {};  // of the inputs
  std::uint32_t batched = 0;     // bit i: input i carries the batch
  BatchEffect effect = {};
  Index batch = -1;                  // images, where the kernel may be called on chunks of them
  std::vector<Spec> results = {};    // of the outputs
  std::vector<Tensor> outputs = {};  // declared, then computed
  const Kernel* kernel = nullptr;
};

// The common size of axis 0 of the inputs that carry the batch, or -1.
Index batch_of(const Call& call) {
  Index batch = -1;
  for (std::size_t i = 0; i < call.specs.size(); ++i) {
    if (((call.batched >> i) & 1u) == 0) continue;
    const Shape& shape = call.specs[i].shape;
    if (shape.rank() == 0 || (batch >= 0 && shape[0] != batch)) return -1;
    batch = shape[0];
  }
  return batch;
}

// Chunks are cut from axis 0 of what carries the batch: a batch rule that is wrong there would write beyond an output.
void check_carried(const Call& call) {
  for (std::size_t o = 0; o < call.results.size() && call.batch >= 0; ++o) {
    const Shape& shape = call.results[o].shape;
    if (((call.effect.carried >> o) & 1u) == 0 || (shape.rank() > 0 && shape[0] == call.batch)) continue;
    fail(fmt::format("its batch rule says that output {} carries the batch of {}, its shape is {}", o, call.batch, shape.text()));
  }
}

// Where all inputs live, whose values these are.
Device common_device(std::span<const Var> inputs, const Tensor* values) {
  const Device first = inputs.empty() ? Device{} : values[0].device();
  for (std::size_t i = 1; i < inputs.size(); ++i) {
    const Device other = values[i].device();
    if (first == other) continue;
    const auto who = [&](std::size_t input) {
      const std::string name = inputs[input].name();
      return name.empty() ? fmt::format("input {}", input) : fmt::format("'{}'", name);
    };
    fail(fmt::format("wanted inputs on one device, got {} on {} and {} on {}; Tensor::to() moves a value", who(0), text_of(first), who(i),
                     text_of(other)));
  }
  return first;
}

void declare(Call& call, std::span<const Var> inputs) {
  if (const int count = static_cast<int>(inputs.size()); count < call.op.min_inputs || count > call.op.max_inputs) {
    fail(fmt::format("wanted {} to {} inputs, got {}", call.op.min_inputs, call.op.max_inputs, count));
  }
  call.specs.reserve(inputs.size());
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    call.specs.push_back(inputs[i].spec());
    if (inputs[i].batched()) call.batched |= 1u << i;
  }
  call.results = call.op.shapes({call.attributes, call.specs});
  for (const Spec& spec : call.results) call.outputs.push_back(Tensor::declared(spec));
  if (call.batched != 0 || call.op.starts_batch) call.effect = call.op.batch({{call.attributes, call.specs}, call.batched});
  if (call.batched != 0 && call.effect.kind != BatchEffect::Kind::mixes) call.batch = batch_of(call);
  check_carried(call);
}

void compute(Call& call, std::span<const Var> inputs, const CallChoice* choice) {
  if (call.op.alias) {
    call.outputs[0] = inputs[0].value().reshape(call.results[0].shape);
    return;
  }
  const Context& context = Context::current();
  constexpr std::size_t few = 6;
  Tensor buffer[few];
  std::vector<Tensor> many;
  Tensor* values = buffer;
  if (inputs.size() > few) {
    many.resize(inputs.size());
    values = many.data();
  }
  for (std::size_t i = 0; i < inputs.size(); ++i) values[i] = inputs[i].value();
  const bool own_kernel = choice != nullptr && !choice->kernel.empty(), own_executor = choice != nullptr && choice->executor != nullptr;
  const Device device = common_device(inputs, values);
  const std::shared_ptr<DeviceRuntime> runtime = device == Device{} ? nullptr : device_runtime(device);
  const OpQuery query{call.attributes, call.specs, {}, device};
  call.kernel = own_kernel ? &choose_kernel(call.op, query, call.results, KernelChoice::parse(choice->kernel))
                           : &choose_kernel(call.op, query, call.results, context.choice);
  for (Tensor& output : call.outputs) output = Tensor::uninitialised(output.spec(), device);
  static SerialExecutor serial;
  Executor& executor = own_executor ? *choice->executor : context.executor ? *context.executor : serial;
  execute({call.op,
           *call.kernel,
           call.attributes,
           {values, inputs.size()},
           call.outputs,
           call.batched,
           call.effect,
           context.flush_denormals,
           call.batch,
           runtime.get()},
          executor);
}

}  // namespace

std::vector<Var> apply(const Op& named_op, Attributes attributes, std::span<const Var> inputs, const CallOptions& options) {
  const std::shared_ptr<TapeState> tape = common_tape(named_op, inputs, options);
  const Catalogue* catalogue = !tape ? Context::current().catalogue : tape->catalogue ? &*tape->catalogue : nullptr;
  if (catalogue == nullptr && !inputs.empty() && inputs[0].device() != Device{}) catalogue = device_catalogue();  // the others are with it
  const Op& op = catalogue != nullptr ? catalogue->resolve(named_op) : named_op;
  const bool recording = tape && Context::current().recording;
  Call call{op, attributes};
  try {
    declare(call, inputs);
    if (!recording || tape->mode == Tape::Mode::eager) compute(call, inputs, options.choice);
  } catch (const Error& error) {
    const std::string_view said = error.what();
    const bool of_device = !inputs.empty() && inputs[0].device() != Device{} && said.starts_with('[' + text_of(inputs[0].device()) + ']');
    if (dynamic_cast<const OutOfDeviceMemory*>(&error) != nullptr) throw OutOfDeviceMemory(caption_of(op, options) + " " + error.what());
    if (said.starts_with('[') && !of_device) throw;  // it names its place already
    const std::vector<std::string> names = input_names(inputs);
    const OpQuery query{attributes, call.specs, names};
    std::string got;
    for (int i = 0; i < static_cast<int>(call.specs.size()); ++i) got += (i == 0 ? "; inputs: " : ", ") + query.text(i);
    fail(caption_of(op, options) + " " + error.what() + got);
  }
  const std::uint32_t carried = call.batched != 0 || op.starts_batch ? call.effect.carried : 0;
  std::vector<Var> results;
  results.reserve(call.outputs.size());
  if (!recording) {
    for (std::size_t o = 0; o < call.outputs.size(); ++o) results.emplace_back(std::move(call.outputs[o]), ((carried >> o) & 1u) != 0);
    return results;
  }
  std::vector<Node::Input> input_ids;
  input_ids.reserve(inputs.size());
  for (const Var& input : inputs) input_ids.push_back(input_on(tape, input));
  const auto id = static_cast<Index>(tape->nodes.size());
  const int outputs = static_cast<int>(call.outputs.size());
  tape->nodes.push_back(
      {&op, std::move(attributes), std::move(input_ids), std::move(call.outputs), options.name, options.site, -1, carried, call.kernel});
  for (int o = 0; o < outputs; ++o) results.emplace_back(tape, tape->generation, id, o);
  return results;
}

std::vector<Var> apply(const Op& op, Attributes attributes, std::initializer_list<Var> inputs, const CallOptions& options) {
  return apply(op, std::move(attributes), std::span<const Var>(inputs.begin(), inputs.size()), options);
}

Var apply(const Op& op, Attributes attributes, const At& at, std::initializer_list<Var> others) {
  constexpr std::size_t few = 5;
  const CallOptions options{at.site, at.name, at.choice, nullptr};
  if (others.size() + 1 > few) fail("[" + op.name + "] has too many inputs for this form of apply");
  Var inputs[few];
  inputs[0] = at.var;
  std::copy(others.begin(), others.end(), inputs + 1);
  return apply(op, std::move(attributes), std::span<const Var>(inputs, others.size() + 1), options)[0];
}

}  // namespace wengert
