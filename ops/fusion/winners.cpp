// Winners: behind max pool and ReLU only each window's maximum, where it is positive, carries gradient. The cotangent of such a pair becomes
// a list (value, position) a channel, exact, for conv2d_data and conv2d_weight.
#include <algorithm>

#include <wengert/backends/direct/elementwise.hpp>
#include <wengert/backends/winners.hpp>
#include <wengert/ops/fusion/fusions.hpp>
#include <wengert/ops/fusion/rule.hpp>
#include <wengert/ops/pool_options.hpp>

namespace wengert {

using namespace fusion;

namespace {

Shape dense_shape(const Attributes& attributes, Index n) {
  const PoolGeometry& g = attributes.as<PoolAttributes>().geometry;
  return {n, g.channels, g.height, g.width};
}

WinnersLayout layout_of(const Shape& pooled) { return {pooled[1], pooled[2] * pooled[3]}; }

// c, positions, gate (N,C,PH,PW) -> x (N,C,H,W)
template <class T>
void naive_winners(const KernelCall& call) {
  const T *c = call.input(0).read<T>(), *gate = call.input(2).read<T>();
  const std::int32_t* const positions = call.input(1).read<std::int32_t>();
  const View& out = call.output(0);
  T* const x = out.write<T>();
  std::fill_n(x, out.elements(), T(0));
  const Index pooled = call.input(0).shape.elements(2, 4), plane = out.shape.elements(2, 4);
  for (Index i = 0; i < call.input(0).elements(); ++i) {
    if (!(gate[i] <= T(0))) x[i / pooled * plane + positions[i]] += c[i];
  }
}

class PreparedWinners final : public PreparedKernel {
 public:
  PreparedWinners(Layout layout, const Shape& pooled) : layout_(layout), pooled_(pooled) {
    inputs = {layout, layout, layout};
    outputs = {Layout::winners};
    capacity = layout_of(pooled).capacity;
  }
  void run(const KernelCall& call) const override {
    direct::winners(layout_, layout_of(pooled_), call.input(0).shape[0], pooled_[2] * pooled_[3], call.input(0).read<float>(),
                    call.input(1).read<std::int32_t>(), call.input(2).read<float>(), call.output(0).write<float>());
  }

 private:
  Layout layout_;
  Shape pooled_;
};

// A position in the window of every output of one image, another one in each.
std::vector<std::int32_t> some_positions(const PoolGeometry& g) {
  std::vector<std::int32_t> positions;
  for (Index plane = 0; plane < g.channels; ++plane) {
    for (Index o = 0; o < g.out_height * g.out_width; ++o) {
      const Index element = (plane + 5 * o) % (g.window_height * g.window_width);
      const Index row = o / g.out_width * g.stride_height + element / g.window_width;
      const Index column = o % g.out_width * g.stride_width + element % g.window_width;
      positions.push_back(static_cast<std::int32_t>(row * g.width + column));
    }
  }
  return positions;
}

const Op& winners_op() {
  static const Op op = [] {
    Op made =
        make_constant_op("winners", "the gradient of max pool behind (or before) a ReLU: c at the positions whose gate is positive", 3, 3);
    made.shapes = [](const OpQuery& query) {
      return std::vector<Spec>{{dense_shape(query.attributes, query.shape(0)[0]), query.dtype(0)}};
    };
    made.batch = [](const BatchQuery& query) { return query.batched == 0b111 ? BatchEffect::per_image() : BatchEffect::mixes(); };
    Kernel direct;
    direct.backend = "direct";
    direct.dtypes = {DType::f32};
    direct.run = naive_winners<float>;  // outside a plan the result is dense
    direct.prepare = [](const PlanQuery& query) -> Preparation {
      if (query.wanted != Layout::winners) return {nullptr, "its readers want it dense"};
      const bool blocks = query.layout(0) == Layout::nhwc8 && query.layout(1) == Layout::nhwc8 && query.layout(2) == Layout::nhwc8;
      return {std::make_unique<PreparedWinners>(blocks ? Layout::nhwc8 : Layout::nchw, query.shape(0)), {}};
    };
    made.kernels = {naive_kernel([](const KernelCall& call) {
                      visit_float(call.input(0).dtype, [&](auto zero) { naive_winners<decltype(zero)>(call); });
                    }),
                    std::move(direct)};
    made.samples = [] {
      const auto sample = [](const Shape& dense, const Pool2dOptions& options) {
        const PoolGeometry geometry = resolve(options, dense);
        const Shape pooled{dense[0], dense[1], geometry.out_height, geometry.out_width};
        SampleInput positions = sample_images(pooled);
        positions.repeated = some_positions(geometry);
        return Sample{PoolAttributes{geometry}, {sample_images(pooled), positions, sample_images(pooled)}};
      };
      return std::vector<Sample>{sample({9, 3, 4, 7}, {.window = 2}), sample({1, 1, 2, 2}, {.window = 2}),
                                 sample({3, 2, 9, 8}, {.window = 3, .stride = 2}), sample({0, 2, 4, 4}, {.window = 2})};
    };
    return made;
  }();
  return op;
}

// gate(r, put_along(c, positions)) with r = relu(...) and (p, positions) = max_pool2d(r); or
// put_along(gate(r, c), positions) with (p, positions) = max_pool2d(...) and r = relu(p).
bool fuse_winners(Graph& graph, StepId s) {
  ValueId cotangent = -1, positions = -1, open = -1;
  StepId inner = -1;
  if (is(graph, s, "gate") && graph.made_by(graph.step(s).inputs[1], "put_along")) {
    inner = graph.value(graph.step(s).inputs[1]).maker;
    cotangent = graph.step(inner).inputs[0];
    positions = graph.step(inner).inputs[1];
    if (!graph.made_by(positions, "max_pool2d") || graph.maker(positions)->inputs[0] != graph.step(s).inputs[0]) return false;
    open = graph.maker(positions)->outputs[0];
  } else if (is(graph, s, "put_along") && graph.made_by(graph.step(s).inputs[0], "gate")) {
    inner = graph.value(graph.step(s).inputs[0]).maker;
    open = graph.step(inner).inputs[0];
    cotangent = graph.step(inner).inputs[1];
    positions = graph.step(s).inputs[1];
    if (!graph.made_by(positions, "max_pool2d") || !graph.made_by(open, "relu")) return false;
    if (graph.maker(open)->inputs[0] != graph.maker(positions)->outputs[0]) return false;
  } else {
    return false;
  }
  const ValueId result = graph.step(s).outputs[0];
  const auto decline = [&](const std::string& reason) {
    graph.note("fuse", "no winners at " + graph.step(s).text() + ": " + reason);
    return false;
  };
  if (only_reader(graph, graph.step(inner).outputs[0]) != s) return decline("something else reads the dense cotangent");
  const Shape& pooled = graph.value(cotangent).spec.shape;
  const Shape& dense = graph.value(result).spec.shape;
  if (pooled.rank() != 4 || graph.value(result).spec.dtype != DType::f32) return decline("wanted f32 images");
  constexpr Index worth = 3;  // at a third of the positions the list stops paying
  if (pooled[2] * pooled[3] * worth > dense[2] * dense[3]) return decline("the pool keeps too many positions");
  for (const StepId reader : graph.readers(result)) {
    const Step& step = graph.step(reader);
    const bool data = (step.op->name == "conv2d_data" || step.op->name == "conv2d_data_gate") && step.inputs[0] == result;
    const bool weight = (step.op->name == "conv2d_weight" || step.op->name == "conv2d_weight_bias") && step.inputs[1] == result;
    if (!data && !weight) return decline(step.text() + " reads it, which takes no list");
  }
  const PoolAttributes pool = graph.maker(positions)->attributes.as<PoolAttributes>();
  const std::vector<Spec> specs = {graph.value(result).spec};
  graph.remove(inner);
  graph.remove(s);
  Step step = make_step(winners_op(), pool, {cotangent, positions, open}, graph.step(s), "winners");
  step.prefer = Layout::winners;
  const StepId made = graph.insert(s, std::move(step), specs);
  graph.replace(result, graph.step(made).outputs[0]);
  return true;
}

}  // namespace

std::vector<Op> winners_ops() { return {winners_op()}; }
std::vector<plan::Fusion> winners_fusions() {
  return {{"winners", "the gradient of a max pool behind conv2d + ReLU, of f32 images", fuse_winners, {"winners"}}};
}

}  // namespace wengert
