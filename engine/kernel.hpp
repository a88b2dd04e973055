// Kernel: one implementation of an op, as the executor calls it on a chunk of the batch.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include <wengert/engine/attributes.hpp>
#include <wengert/engine/view.hpp>

namespace wengert {

// What shape rules, batch rules and refusals see of a call: attributes and what is known of the inputs.
struct OpQuery {
  const Attributes& attributes;
  std::span<const Spec> inputs;
  std::span<const std::string> input_names = {};  // of the tape's values, for messages; may be shorter than inputs

  const Shape& shape(int input) const { return inputs[static_cast<std::size_t>(input)].shape; }
  DType dtype(int input) const { return inputs[static_cast<std::size_t>(input)].dtype; }
  std::string text(int input) const;  // "f32 (64,3,28,28) from 'image'"
};

// One call of a kernel: whole values, or one chunk of the batch. The kernel overwrites its outputs.
struct KernelCall {
  const Attributes& attributes;
  std::span<const View> inputs;
  std::span<const View> outputs;
  Index first_image = 0;      // where this chunk starts in the batch
  void* workspace = nullptr;  // as many bytes as Kernel::workspace asked for, 64-byte aligned, uninitialised

  const View& input(int i) const { return inputs[static_cast<std::size_t>(i)]; }
  const View& output(int o) const { return outputs[static_cast<std::size_t>(o)]; }
};

// Called from several threads at once on different chunks: no shared mutable state, no allocation, no exceptions but Error.
struct Kernel {
  std::string backend = "naive";  // the name that --kernel takes
  std::function<void(const KernelCall&)> run = {};
  std::vector<DType> dtypes = {DType::f32, DType::f64};           // of the call's floating values; empty: any
  std::function<std::string(const OpQuery&)> refuse = {};         // the reason why not, or empty; absent: takes everything
  std::function<Index(const OpQuery&)> workspace = {};            // bytes for one call on inputs of these sizes; absent: none
};

}  // namespace wengert
