// Kernel: one implementation of an op, as the executor calls it on a chunk of the batch.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <wengert/engine/attributes.hpp>
#include <wengert/engine/view.hpp>

namespace wengert {

class DeviceQueue;

// What shape rules, batch rules and refusals see of a call: attributes and what is known of the inputs.
struct OpQuery {
  const Attributes& attributes;
  std::span<const Spec> inputs;
  std::span<const std::string> input_names = {};  // of the tape's values, for messages; may be shorter than inputs
  Device device = {};                             // on which the call is to run; it is open

  const Shape& shape(int input) const { return inputs[static_cast<std::size_t>(input)].shape; }
  DType dtype(int input) const { return inputs[static_cast<std::size_t>(input)].dtype; }
  std::string text(int input) const;  // "f32 (64,3,28,28) from 'image'"
};

// One call of a kernel: whole values, or one chunk of the batch. The kernel overwrites its outputs.
struct KernelCall {
  const Attributes& attributes;
  std::span<const View> inputs;
  std::span<const View> outputs;
  Index first_image = 0;         // where this chunk starts in the batch
  void* workspace = nullptr;     // as many bytes as the kernel asked for, 64-byte aligned, uninitialised
  Index slice = 0;               // which piece of PreparedKernel::slices() to compute
  DeviceQueue* queue = nullptr;  // of kernels for a device: where they launch; all memory is that device's

  const View& input(int i) const { return inputs[static_cast<std::size_t>(i)]; }
  const View& output(int o) const { return outputs[static_cast<std::size_t>(o)]; }
};

// A kernel made ready for one call of a plan: layouts settled, tables and tiles made once. Immutable; several threads run it at once.
class PreparedKernel {
 public:
  std::vector<Layout> inputs = {}, outputs = {};  // the layouts it reads and writes; empty: all plain (nchw)
  Index capacity = 0;                             // of outputs with layout winners

  virtual ~PreparedKernel() = default;
  virtual void run(const KernelCall& call) const = 0;
  virtual Index workspace() const { return 0; }  // bytes of one call
  virtual std::string describe() const { return {}; }

  // An input whose layout is packed: its bytes, and how they are made from the plain value.
  virtual Index packed_bytes(int /*input*/) const { return 0; }
  virtual void pack(int /*input*/, const void* /*plain*/, void* /*packed*/) const {}

  // Of a sum over images: where not 0, a chunk's outputs are one run of so many floats (view of output 0) that add up over the
  // chunks, and finish() lays the total out as the plain outputs.
  virtual Index partial_floats() const { return 0; }
  virtual void finish(const float* /*total*/, std::span<const View> /*outputs*/) const {}

  // Pieces of the outputs that may be computed by different workers (KernelCall::slice), where a call covers the whole batch.
  virtual Index slices() const { return 1; }

  Layout input_layout(std::size_t i) const { return i < inputs.size() ? inputs[i] : Layout::nchw; }
  Layout output_layout(std::size_t o) const { return o < outputs.size() ? outputs[o] : Layout::nchw; }
};

// What a plan tells a kernel of a call: sizes of the largest chunk, the layouts in which the inputs lie, what the readers would like.
struct PlanQuery : OpQuery {
  std::span<const Layout> layouts = {};
  Layout wanted = Layout::nchw;  // of output 0
  Index capacity = 0;            // of an input with layout winners
  std::uint32_t batched = 0;     // bit i: input i carries the batch
  bool whole = false;            // one call covers the whole batch
  Layout layout(int input) const { return layouts[static_cast<std::size_t>(input)]; }
};

struct Preparation {
  std::unique_ptr<const PreparedKernel> kernel = {};
  std::string refusal = {};  // the reason why there is no kernel
};

// Called from several threads at once on different chunks: no shared mutable state, no allocation, no exceptions but Error.
struct Kernel {
  std::string backend = "naive";            // the name that --kernel takes
  Device::Kind device = Device::Kind::cpu;  // whose values it takes; on a device a call is never cut in chunks
  std::function<void(const KernelCall&)> run = {};
  std::vector<DType> dtypes = {DType::f32, DType::f64};    // of the call's floating values; empty: any
  std::function<std::string(const OpQuery&)> refuse = {};  // the reason why not, or empty; absent: takes everything
  // Why another kernel is faster at these sizes, or empty; absent: none is. Then it is taken only by name, or where no other takes the call.
  std::function<std::string(const OpQuery&)> slower = {};
  std::function<Index(const OpQuery&)> workspace = {};        // bytes for one call on inputs of these sizes; absent: none
  std::function<Preparation(const PlanQuery&)> prepare = {};  // for plans; absent: `run` on plain values
  // For a device: several independent calls of this kernel in one launch, without workspaces. Absent: one by one.
  std::function<void(std::span<const KernelCall>)> run_together = {};
  bool exact = true;  // sums of products of small integers come out exactly
};

}  // namespace wengert
