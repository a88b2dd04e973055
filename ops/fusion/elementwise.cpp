// Chains of elementwise ops, whose values in between nobody else reads: one pass over memory for all of them.
#include <algorithm>
#include <optional>

#include <wengert/backends/direct/chain.hpp>
#include <wengert/backends/naive/chain.hpp>
#include <wengert/ops/arithmetic.hpp>
#include <wengert/ops/fusion/fusions.hpp>
#include <wengert/ops/fusion/rule.hpp>

namespace wengert {

using namespace fusion;

namespace {

using F = ChainLink::Function;

// The function of an elementwise op, or none.
std::optional<F> function_of(const Step& step) {
  for (const F function : chain_functions) {
    if (step.op->name == name(function)) return function;
  }
  return {};
}

// ---- the op

class PreparedChain final : public PreparedKernel {
 public:
  PreparedChain(const Chain& chain, Layout layout) : workspace_(direct::chain_workspace(chain)) {
    for (const ChainOperand operand : chain.operands) inputs.push_back(operand == ChainOperand::each ? layout : Layout::nchw);
    outputs = {layout};
  }
  Index workspace() const override { return workspace_; }
  void run(const KernelCall& call) const override {
    direct::chain(call.attributes.as<Chain>(), call.inputs, call.output(0), call.workspace);
  }

 private:
  Index workspace_;
};

Kernel direct_chain_kernel() {
  Kernel kernel;
  kernel.backend = "direct";
  kernel.dtypes = {DType::f32};
  kernel.run = [](const KernelCall& call) { direct::chain(call.attributes.as<Chain>(), call.inputs, call.output(0), call.workspace); };
  kernel.workspace = [](const OpQuery& query) { return direct::chain_workspace(query.attributes.as<Chain>()); };
  kernel.prepare = [](const PlanQuery& query) -> Preparation {
    const auto& chain = query.attributes.as<Chain>();
    const bool blocks = std::find(query.layouts.begin(), query.layouts.end(), Layout::nhwc8) != query.layouts.end();
    constexpr Index lanes = 8;
    const bool fits = blocks && (query.shape(chain.like())[1] % lanes == 0 || direct::keeps_zero(chain));
    return {std::make_unique<PreparedChain>(chain, fits ? Layout::nhwc8 : Layout::nchw), {}};
  };
  return kernel;
}

const Op& chain_op() {
  static const Op op = [] {
    Op made =
        make_constant_op("elementwise_chain", "elementwise functions one after the other, in one pass over memory", 1, Op::any_number);
    made.shapes = [](const OpQuery& query) {
      return std::vector<Spec>{query.inputs[static_cast<std::size_t>(query.attributes.as<Chain>().like())]};
    };
    made.batch = [](const BatchQuery& query) {
      const auto& chain = query.attributes.as<Chain>();
      for (int i = 0; i < chain.inputs(); ++i) {
        if (query.is_batched(i) != (chain.operands[static_cast<std::size_t>(i)] == ChainOperand::each)) return BatchEffect::mixes(1u);
      }
      return BatchEffect::per_image();
    };
    made.kernels = {naive_kernel([](const KernelCall& call) { naive::chain(call.attributes.as<Chain>(), call.inputs, call.output(0)); }),
                    direct_chain_kernel()};
    made.samples = [] {
      using Fill = SampleInput::Fill;
      // the gradient of tanh, c (1 - y^2); a residual sum; a scaled and shifted ReLU; all functions once
      const auto each = ChainOperand::each, one = ChainOperand::one, channel = ChainOperand::channel;
      const Chain tanh_gradient{{each, each}, {{F::multiply, 1, 1}, {F::affine, 2, -1, -1.0, 1.0}, {F::multiply, 0, 3}}};
      const std::vector<ChainLink> sum = {{F::add, 0, 1}, {F::relu, 2}};
      const Chain residual{{each, each}, sum}, shifted{{each, one}, sum};
      const std::vector<ChainLink> links = {{F::subtract, 0, 1}, {F::multiply, 4, 2}, {F::add, 5, 3}, {F::relu, 6}};
      const Chain normal{{each, channel, channel, channel}, links}, scaled{{each, channel, one, channel}, links};
      const Chain all{{each, each},
                      {{F::exp, 0},
                       {F::sqrt, 2},
                       {F::log, 3},
                       {F::sigmoid, 4},
                       {F::tanh, 5},
                       {F::divide, 6, 1},
                       {F::subtract, 7, 0},
                       {F::maximum, 8, 1},
                       {F::gate, 9, 0},
                       {F::relu, 10},
                       {F::affine, 11, -1, 2.0}}};
      const auto images = [](const Shape& shape, Fill fill = Fill::normal) { return sample_images(shape, fill); };
      return std::vector<Sample>{
          {tanh_gradient, {images({9, 35}), images({9, 35})}},
          {residual, {images({3, 9, 7, 6}), images({3, 9, 7, 6})}},
          {shifted, {images({5, 300}), sample_value({})}},
          {residual, {images({0, 4}), images({0, 4})}},
          {normal, {images({4, 5, 6, 7}), sample_value({1, 5, 1, 1}), sample_value({5, 1, 1}), sample_value({1, 5, 1, 1})}},
          {scaled, {images({2, 8, 20, 20}), sample_value({1, 8, 1, 1}), sample_value({}), sample_value({8, 1, 1})}},
          {all, {images({4, 3, 5}, Fill::positive), images({4, 3, 5}, Fill::positive)}}};
    };
    return made;
  }();
  return op;
}

// ---- the rule

// Whether a step is a link of a chain with this result: a known function of inputs that have its shape, or repeat.
bool is_link(const Graph& graph, StepId s, ValueId result) {
  if (s < 0 || !graph.step(s).alive || !function_of(graph.step(s))) return false;
  const plan::Value &chain = graph.value(result), &own = graph.value(graph.step(s).outputs[0]);
  if (own.spec != chain.spec || own.batched != chain.batched) return false;
  return std::all_of(graph.step(s).inputs.begin(), graph.step(s).inputs.end(), [&](ValueId id) {
    const plan::Value& input = graph.value(id);
    const Shape& shape = input.spec.shape;
    if (shape == chain.spec.shape) return input.batched == chain.batched;
    const Shape& all = chain.spec.shape;
    const bool channel = all.rank() == 4 && (shape == Shape{1, all[1], 1, 1} || shape == Shape{all[1], 1, 1});
    return !input.batched && (shape.elements() == 1 || channel);
  });
}

// The last link of the chain in which step `s` may stand.
StepId end_of(const Graph& graph, StepId s) {
  for (;;) {
    const ValueId result = graph.step(s).outputs[0];
    const auto readers = graph.readers(result);
    const bool goes_on = !readers.empty() && !graph.value(result).wanted &&
                         std::all_of(readers.begin(), readers.end(), [&](StepId reader) { return is_link(graph, reader, result); });
    if (!goes_on) return s;
    s = *std::max_element(readers.begin(), readers.end());
  }
}

// The links that lead to `last` and are read by links alone, in their order.
std::vector<StepId> links_before(const Graph& graph, StepId last) {
  const ValueId result = graph.step(last).outputs[0];
  std::vector<StepId> links = {last};
  const auto known = [&](StepId s) { return std::find(links.begin(), links.end(), s) != links.end(); };
  for (bool grown = true; grown;) {
    grown = false;
    for (std::size_t l = 0; l < links.size(); ++l) {
      for (const ValueId id : graph.step(links[l]).inputs) {
        const StepId maker = graph.value(id).maker;
        if (maker < 0 || known(maker) || graph.value(id).wanted || !is_link(graph, maker, result)) continue;
        const auto readers = graph.readers(id);
        if (!std::all_of(readers.begin(), readers.end(), known)) continue;
        links.push_back(maker);
        grown = true;
      }
    }
  }
  std::sort(links.begin(), links.end());
  return links;
}

bool fuse_chain(Graph& graph, StepId s) {
  if (!is_link(graph, s, graph.step(s).outputs[0])) return false;
  std::vector<StepId> steps = links_before(graph, end_of(graph, s));
  if (std::find(steps.begin(), steps.end(), s) == steps.end()) steps = links_before(graph, s);
  if (steps.size() == 1) return false;
  const StepId last = steps.back();
  const ValueId result = graph.step(last).outputs[0];
  std::vector<ValueId> inputs, made;  // made: the links' results in their order
  for (const StepId link : steps) made.push_back(graph.step(link).outputs[0]);
  const auto place = [](const std::vector<ValueId>& ids, ValueId id) { return std::find(ids.begin(), ids.end(), id) - ids.begin(); };
  const auto is_made = [&](ValueId id) { return place(made, id) != static_cast<std::ptrdiff_t>(made.size()); };
  for (const StepId link : steps) {
    for (const ValueId id : graph.step(link).inputs) {
      if (!is_made(id) && place(inputs, id) == static_cast<std::ptrdiff_t>(inputs.size())) inputs.push_back(id);
    }
  }
  Chain chain;
  for (const ValueId id :
       inputs) {  // decided here, where shapes are those of the whole batch: a chunk of one image looks like one value a channel
    const Shape& shape = graph.value(id).spec.shape;
    chain.operands.push_back(shape == graph.value(result).spec.shape ? ChainOperand::each
                             : shape.elements() == 1                 ? ChainOperand::one
                                                                     : ChainOperand::channel);
  }
  if (chain.like() == chain.inputs() || chain.inputs() >= Op::any_number) return false;
  for (const StepId link : steps) {
    const Step& step = graph.step(link);
    const auto operand = [&](ValueId id) { return static_cast<int>(is_made(id) ? chain.inputs() + place(made, id) : place(inputs, id)); };
    ChainLink next{*function_of(step), operand(step.inputs[0])};
    if (step.inputs.size() > 1) next.b = operand(step.inputs[1]);
    if (next.function == F::affine) {
      next.scale = step.attributes.as<AffineAttributes>().scale;
      next.shift = step.attributes.as<AffineAttributes>().shift;
    }
    chain.links.push_back(next);
  }
  const std::vector<Spec> specs = {graph.value(result).spec};
  const Step like = graph.step(last);
  for (const StepId link : steps) graph.remove(link);
  const StepId fused = graph.insert(last, make_step(chain_op(), std::move(chain), std::move(inputs), like, "elementwise chain"), specs);
  graph.replace(result, graph.step(fused).outputs[0]);
  return true;
}

}  // namespace

std::vector<Op> elementwise_fusion_ops() { return {chain_op()}; }

std::vector<plan::Fusion> elementwise_fusions() {
  return {{"elementwise chain", "two elementwise ops in a row, nothing else reading the value between", fuse_chain, {"elementwise_chain"}}};
}

}  // namespace wengert
