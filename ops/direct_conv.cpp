#include <wengert/ops/direct_kernels.hpp>

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include <wengert/backends/direct/conv.hpp>

namespace wengert {

namespace {

// Up to so many channels a plain image is read as it is; more are read in blocks.
constexpr Index planar_channels = 4;

std::size_t image_input(ConvRole) { return 0; }
std::size_t weight_input(ConvRole) { return 1; }

direct::ConvTask task_of(ConvRole role, const FusedConv& conv) {
  direct::ConvTask task;
  task.geometry = conv.geometry;
  task.direction = role == ConvRole::forward ? direct::ConvTask::Direction::forward
                   : role == ConvRole::data  ? direct::ConvTask::Direction::data
                                             : direct::ConvTask::Direction::weight;
  task.bias = conv.bias;
  task.relu = conv.relu;
  task.gate = conv.gate;
  task.pool = conv.pool;
  return task;
}

// The kernel call on views, whatever the direction.
direct::ConvCall call_of(ConvRole role, const FusedConv& conv, const KernelCall& call) {
  direct::ConvCall c;
  const auto input = [&](int i) { return call.input(i).read<float>(); };
  c.images = call.input(static_cast<int>(image_input(role))).shape[0];
  switch (role) {
    case ConvRole::forward:
      c.x = input(0), c.w = input(1), c.bias = conv.bias ? input(2) : nullptr;
      c.positions = conv.pool ? call.output(1).write<std::int32_t>() : nullptr;
      break;
    case ConvRole::data: c.y = input(0), c.w = input(1), c.gate = conv.gate ? input(2) : nullptr; break;
    case ConvRole::weight: c.x = input(0), c.y = input(1); break;
  }
  c.out = call.output(0).write<float>();
  c.workspace = static_cast<float*>(call.workspace);
  return c;
}

// A backend's kernels for the triple.
struct Family {
  const char* backend;
  bool exact;
  std::string (*refuse)(const direct::ConvTask& task);
  std::unique_ptr<const direct::Conv> (*make)(const direct::ConvTask& task);
  std::string (*slower)(const direct::ConvTask& task);  // or null
};

class PreparedConv final : public PreparedKernel {
 public:
  PreparedConv(ConvRole role, FusedConv conv, const direct::ConvTask& task, const Family& family, bool whole)
      : role_(role), conv_(std::move(conv)), kernel_(family.make(task)), whole_(whole) {
    switch (role) {
      case ConvRole::forward:
        inputs = {task.x, Layout::packed};
        if (conv_.bias) inputs.push_back(Layout::nchw);
        outputs = {task.y, task.y};
        break;
      case ConvRole::data:
        inputs = {task.y, Layout::packed};
        if (conv_.gate) inputs.push_back(task.x);
        outputs = {task.x};
        break;
      case ConvRole::weight: inputs = {task.x, task.y}; break;
    }
  }

  void run(const KernelCall& call) const override {
    direct::ConvCall c = call_of(role_, conv_, call);
    if (role_ != ConvRole::weight || !whole_) return kernel_->run(c);
    c.out = c.workspace;  // the total of the only chunk
    c.workspace += total_floats();
    kernel_->run(c);
    finish(c.out, call.outputs);
  }
  Index workspace() const override {
    return (kernel_->workspace_floats() + (role_ == ConvRole::weight && whole_ ? total_floats() : 0)) * size_of(DType::f32);
  }
  std::string describe() const override { return kernel_->describe(); }
  Index packed_bytes(int) const override { return kernel_->packed_floats() * size_of(DType::f32); }
  void pack(int, const void* plain, void* packed) const override {
    kernel_->pack(static_cast<const float*>(plain), static_cast<float*>(packed));
  }
  Index partial_floats() const override { return role_ == ConvRole::weight && !whole_ ? kernel_->partial_floats() : 0; }
  void finish(const float* total, std::span<const View> to) const override {
    kernel_->finish(total, to[0].write<float>(), conv_.bias ? to[1].write<float>() : nullptr);
  }

 private:
  Index total_floats() const { return (kernel_->partial_floats() + 15) / 16 * 16 + 16; }

  ConvRole role_;
  FusedConv conv_;
  std::unique_ptr<const direct::Conv> kernel_;
  bool whole_;
};

Layout image_layout(const PlanQuery& query, int input, Index channels) {
  return query.layout(input) == Layout::nchw && channels <= planar_channels ? Layout::nchw : Layout::nhwc8;
}

Preparation prepare(const Family& family, ConvRole role, const FusedConv& conv, const PlanQuery& query) {
  direct::ConvTask task = task_of(role, conv);
  if (role != ConvRole::weight && ((query.batched >> weight_input(role)) & 1u) != 0) return {nullptr, "its filters carry the batch"};
  const Layout cotangent = query.layout(role == ConvRole::weight ? 1 : 0) == Layout::winners ? Layout::winners : Layout::nhwc8;
  const Layout result = query.wanted == Layout::nhwc8 ? Layout::nhwc8 : Layout::nchw;
  switch (role) {
    case ConvRole::forward: task.x = image_layout(query, 0, conv.geometry.channels), task.y = result; break;
    case ConvRole::data: task.y = cotangent, task.x = result; break;
    case ConvRole::weight: task.x = image_layout(query, 0, conv.geometry.channels), task.y = cotangent; break;
  }
  task.capacity = query.capacity;
  if (std::string reason = family.refuse(task); !reason.empty()) return {nullptr, std::move(reason)};
  return {std::make_unique<PreparedConv>(role, conv, task, family, query.whole), {}};
}

// Outside a plan everything is plain, and the weights are packed for the call.
void run_plain(const Family& family, ConvRole role, const FusedConv& conv, const KernelCall& call) {
  direct::ConvTask task = task_of(role, conv);
  task.x = task.y = Layout::nchw;
  const auto kernel = family.make(task);
  direct::ConvCall c = call_of(role, conv, call);
  const auto floats = [](Index count) { return Tensor::uninitialised({{std::max<Index>(count, 1)}, DType::f32}); };
  Tensor packed = floats(kernel->packed_floats()), workspace = floats(kernel->workspace_floats()), total = floats(kernel->partial_floats());
  c.workspace = workspace.mutable_view().write<float>();
  if (role != ConvRole::weight) {
    kernel->pack(c.w, packed.mutable_view().write<float>());
    c.w = packed.view().read<float>();
    return kernel->run(c);
  }
  c.out = total.mutable_view().write<float>();
  kernel->run(c);
  kernel->finish(c.out, call.output(0).write<float>(), conv.bias ? call.output(1).write<float>() : nullptr);
}

Kernel conv_kernel(const Family& family, ConvRole role, FusedConv (*read)(const Attributes&)) {
  Kernel kernel;
  kernel.backend = family.backend;
  kernel.exact = family.exact;
  kernel.dtypes = {DType::f32};
  kernel.run = [family, role, read](const KernelCall& call) { run_plain(family, role, read(call.attributes), call); };
  kernel.refuse = [family, role, read](const OpQuery& query) {
    direct::ConvTask task = task_of(role, read(query.attributes));
    task.x = task.y = Layout::nchw;
    return family.refuse(task);
  };
  if (family.slower != nullptr) {
    kernel.slower = [family, role, read](const OpQuery& query) { return family.slower(task_of(role, read(query.attributes))); };
  }
  kernel.prepare = [family, role, read](const PlanQuery& query) { return prepare(family, role, read(query.attributes), query); };
  return kernel;
}

// Height and width of what a forward or data kernel writes, before a pool.
std::pair<Index, Index> result_of(const direct::ConvTask& task) {
  const ConvGeometry& g = task.geometry;
  return task.direction == direct::ConvTask::Direction::data ? std::pair(g.height, g.width) : std::pair(g.out_height, g.out_width);
}

// Tiles of 4x4 take a half to three quarters of the time of 2x2, unless they reach far over the edges.
Index tile_of(const direct::ConvTask& task) {
  const auto covered = [&](Index m) {
    const auto [height, width] = result_of(task);
    return (height + m - 1) / m * m * ((width + m - 1) / m * m);
  };
  return 2 * covered(4) <= 3 * covered(2) ? 4 : 2;
}

std::string refuse_winograd(const direct::ConvTask& task) { return direct::refuse_winograd(task, tile_of(task)); }
// From 8 channels and 8x8 results on, Winograd's kernel measured 0.4 to 1.0 times the time of the direct one; below, up to 3 times.
std::string slow_winograd(const direct::ConvTask& task) {
  const Index channels = task.direction == direct::ConvTask::Direction::data ? task.geometry.filters : task.geometry.channels;
  if (channels < 8) return fmt::format("direct is faster: {} channels fill no block of 8", channels);
  const auto [height, width] = result_of(task);
  if (std::min(height, width) < 8) return fmt::format("direct is faster: results of {}x{} are few tiles", height, width);
  return "";
}
std::unique_ptr<const direct::Conv> make_winograd(const direct::ConvTask& task) { return direct::make_winograd(task, tile_of(task)); }

constexpr Family direct_family{"direct", true, &direct::refuse_conv, &direct::make_conv, nullptr};
constexpr Family winograd_family{"winograd", false, &refuse_winograd, &make_winograd, &slow_winograd};

}  // namespace

std::string FusedConv::describe() const {
  std::string text = geometry.describe();
  if (bias) text += " + bias";
  if (relu) text += " + relu";
  if (gate) text += " + gate";
  if (pool) text += " + max pool " + pool->describe();
  return text;
}

Kernel direct_conv_kernel(ConvRole role, FusedConv (*read)(const Attributes&)) { return conv_kernel(direct_family, role, read); }
Kernel winograd_conv_kernel(ConvRole role, FusedConv (*read)(const Attributes&)) { return conv_kernel(winograd_family, role, read); }

}  // namespace wengert
