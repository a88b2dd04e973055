// Op: the immutable descriptor of an operation. A user's own op is the same type as a built-in one.
#pragma once

#include <functional>
#include <vector>

#include <wengert/engine/kernel.hpp>
#include <wengert/engine/var.hpp>

namespace wengert {

// What an op does to the batch, given which inputs carry it on their axis 0.
struct BatchEffect {
  enum class Kind : std::uint8_t {
    per_image,  // each image's output depends on that image alone: chunks concatenate
    sums,       // the outputs sum over images: chunks add up
    mixes       // anything else: the op needs the whole batch at once
  };
  Kind kind = Kind::per_image;
  std::uint32_t carried = ~0u;  // bit o: output o carries the batch on axis 0

  static BatchEffect per_image() { return {Kind::per_image, ~0u}; }
  static BatchEffect sums() { return {Kind::sums, 0}; }
  static BatchEffect mixes(std::uint32_t carried = 0) { return {Kind::mixes, carried}; }
};

struct BatchQuery : OpQuery {
  std::uint32_t batched = 0;  // bit i: input i carries the batch; 0 only for ops that start one
  bool is_batched(int input) const { return ((batched >> input) & 1u) != 0; }
};

// What a vjp sees: inputs and outputs that the op keeps, the cotangents that exist, and which gradients are wanted.
class VjpCall {
 public:
  VjpCall(const struct Op& op, const Attributes& attributes, std::span<const Var> inputs, std::span<const Var> outputs,
          std::span<const Var> cotangents, std::uint32_t wanted)
      : op_(op), attributes_(attributes), inputs_(inputs), outputs_(outputs), cotangents_(cotangents), wanted_(wanted) {}

  const Attributes& attributes() const { return attributes_; }
  template <class A>
  const A& as() const {
    return attributes_.as<A>();
  }
  const Var& input(int i) const;  // throws Error where the op does not list it in `keeps`
  const Var& output(int o) const;
  const Shape& input_shape(int i) const { return inputs_[static_cast<std::size_t>(i)].shape(); }
  bool input_batched(int i) const { return inputs_[static_cast<std::size_t>(i)].batched(); }
  DType input_dtype(int i) const { return inputs_[static_cast<std::size_t>(i)].dtype(); }
  const Shape& output_shape(int o) const { return outputs_[static_cast<std::size_t>(o)].shape(); }
  const Var& cotangent(int o = 0) const { return cotangents_[static_cast<std::size_t>(o)]; }  // "none" where absent
  bool wanted(int i) const { return ((wanted_ >> i) & 1u) != 0; }
  int inputs() const { return static_cast<int>(inputs_.size()); }

 private:
  const Op& op_;
  const Attributes& attributes_;
  std::span<const Var> inputs_, outputs_, cotangents_;
  std::uint32_t wanted_;
};

// One input of a sample call.
struct SampleInput {
  enum class Fill : std::uint8_t {
    normal,          // standard normal
    positive,        // uniform in [0.5, 2)
    distinct,        // a permutation of well separated values: no ties
    away,            // |value| in [0.25, 2), either sign: away from a kink at 0
    classes,         // i32, uniform in [0, bound)
    bytes,           // u8, uniform
    row_stochastic,  // positive, the last axis sums to 1
    zeros
  };
  Shape shape = {};
  Fill fill = Fill::normal;
  Index bound = 0;                          // for classes
  bool batched = false;                     // carries the batch on axis 0
  std::vector<std::int32_t> repeated = {};  // i32: these again and again, whatever the fill
};

// One call that the op table test, the gradient check and the benchmarks make. Floating inputs take the dtype of the case.
struct Sample {
  Attributes attributes = {};
  std::vector<SampleInput> inputs = {};
};

struct Op {
  // How the outputs depend on the floating inputs.
  enum class Smoothness : std::uint8_t {
    multilinear,  // linear or affine in each input alone: differences with step 1 are exact
    smooth,
    kinked,   // differentiable almost everywhere
    constant  // no gradient by definition: comparisons, one-hot, stop_gradient
  };
  struct Keeps {
    std::uint32_t inputs = 0, outputs = 0;  // bit masks: the values that the vjp reads
  };
  static constexpr int any_number = 31;  // of inputs

  std::string name = {};
  std::string summary = {};  // one line: the formula and what it is for
  int min_inputs = 1, max_inputs = 1;
  Smoothness smoothness = Smoothness::smooth;
  bool broadcasts = false;      // inputs broadcast to the output: the sweep sums their gradients back to their shape
  bool starts_batch = false;    // its attributes may say that an output carries the batch though no input does
  bool stops_gradient = false;  // constant though its value depends on its inputs: stop_gradient, optimiser updates
  bool side_effects =
      false;           // runs for what it does beside its outputs (printing, counting): plans, which drop what nobody reads, refuse it
  bool alias = false;  // output 0 is input 0 with another shape: no kernel runs in eager mode
  std::uint32_t overwrites = 0;  // bit o: output o may lie where input o lies (optimiser updates)
  bool sliced = false;           // its best kernels cut a call over the whole batch in slices for several workers
  Keeps keeps = {};
  // Output specs; throws Error("wanted ..., got ...") where inputs or attributes do not fit.
  std::function<std::vector<Spec>(const OpQuery&)> shapes = {};
  // One gradient an input, "none" where there is none; written in ops, so that it can be differentiated again.
  std::function<std::vector<Var>(const VjpCall&)> vjp = {};
  std::function<BatchEffect(const BatchQuery&)> batch = {};
  std::vector<Kernel> kernels = {};  // naive first, best last
  // Floating-point operations of one call's convolution or matrix product, a multiply and an add counted as two; absent: not counted.
  std::function<double(const OpQuery&)> flops = {};
  std::function<std::vector<Sample>()> samples = {};

  const Kernel* kernel(const std::string& backend) const;  // null where it has none of that backend
};

// The kernel that a call takes under a choice, and for messages the reasons of those that refused.
struct KernelChoice {
  std::string backend = {};  // empty: auto, the best that does not refuse
  bool fall_back = false;    // take another where this one refuses, instead of an error

  // "auto", "im2col", "im2col,auto". Throws Error with a suggestion for a name that no known op has.
  static KernelChoice parse(const std::string& text);
  std::string text() const;
};

// The op's kernels as they are to be tried, the best first, and why some best ones of the ladder are not among the first.
struct KernelOrder {
  std::vector<const Kernel*> kernels = {};
  std::string passed_over = {};  // "; not direct: OpenBLAS is faster: ..."
};
KernelOrder kernel_order(const Op& op, const OpQuery& query);

// Throws Error with the reason where the chosen backend refuses. Ops without that backend take their best kernel.
const Kernel& choose_kernel(const Op& op, const OpQuery& query, std::span<const Spec> outputs, const KernelChoice& choice);

// The dtype that decides whether a kernel fits: of the first floating input, else of the first output, else of the first input.
DType deciding_dtype(std::span<const Spec> inputs, std::span<const Spec> outputs);

// Backends that KernelChoice::parse accepts: the built-in ones and those of every kernel ever added to a catalogue.
std::vector<std::string> known_backends();
void add_known_backend(const std::string& backend);

}  // namespace wengert
