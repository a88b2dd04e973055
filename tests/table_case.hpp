// What the checks of the table share: its cases, direct kernel calls in guarded memory, and comparisons.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <wengert/engine/op.hpp>
#include <wengert/engine/samples.hpp>

#include "table.hpp"

namespace wengert::test {

constexpr std::uint64_t table_seed = 1;

struct Case {
  const Op& op;
  const Sample& sample;
  Index number;
  const Kernel& kernel;
  DType dtype;
  std::vector<Tensor> inputs;

  std::string text() const;  // "conv2d/im2col/f32/3"
  std::vector<Spec> specs() const;
  std::uint32_t batched() const;  // bit i: input i carries the batch
  Index batch() const;            // rows of the batch, or -1: none, or inputs that disagree
  BatchEffect effect() const;     // meaningful where batched() is not 0
  bool multilinear() const { return op.smoothness == Op::Smoothness::multilinear; }
  bool constant() const { return op.smoothness == Op::Smoothness::constant; }
  Device device() const { return {kernel.device, 0}; }  // where the kernel's values live
};

class Failures {
 public:
  void count() { ++result_.cases; }
  void add(const Case& at, const std::string& what);
  void add(const Case& at, const std::optional<std::string>& what) {
    if (what) add(at, *what);
  }
  void add(const std::string& text) { result_.failures.push_back(text); }
  TableResult take() { return std::move(result_); }

 private:
  TableResult result_;
};

// Calls body for every case that WENGERT_CASE selects and whose kernel takes it. An exception of body is a failure of its case.
Failures for_each_case(const Catalogue& catalogue, const std::function<void(const Case&, Failures&)>& body, bool integers = false);
// Whether WENGERT_CASE selects it.
bool selected(const std::string& op, const std::string& kernel = "*", const std::string& dtype = "*", const std::string& number = "*");
Index selected_number();  // the sample case that it names, or -1
// The reason why a kernel does not take a call, or empty.
std::string refusal_of(const Kernel& kernel, const Attributes& attributes, const std::vector<Spec>& specs, DType dtype);

// One direct kernel call on views of rows [first, first + rows) of the inputs that carry the batch; rows = -1: all of everything.
// Outputs start at any element, between sentinels. `damage` says what the kernel wrote outside of them or into its inputs, or empty.
struct DirectCall {
  std::vector<Tensor> outputs;
  std::string damage;
};
DirectCall call_directly(const Case& at, const Kernel& kernel, const std::vector<Tensor>& inputs, Index first = 0, Index rows = -1);

std::vector<Tensor> moved(const std::vector<Tensor>& tensors, Device device);
std::vector<Tensor> cast_all(const std::vector<Tensor>& tensors, DType dtype);  // the floating ones
Tensor random_like(const Spec& spec, const std::string& name, bool integers = false);

// Nothing where |got - wanted| <= factor * (|wanted| + magnitude + max |wanted|) everywhere (integers and non-finite values: equal),
// else the first bad index with both values. `magnitude` may be empty.
std::optional<std::string> differ(const Tensor& got, const Tensor& wanted, double factor, const Tensor& magnitude = Tensor());
std::optional<std::string> differ(const std::vector<Tensor>& got, const std::vector<Tensor>& wanted, double factor,
                                  const std::vector<Tensor>& magnitude = {});
bool same_bits(const Tensor& a, const Tensor& b);

bool all_integers(const std::vector<Tensor>& tensors);

// Where the shape rule, asked about half of the batch, contradicts the batch rule; a kernel would then leave its memory.
std::string contradiction(const Case& at);

// Rounding units allowed to a kernel: grows as the square root of what it may have summed.
double rounding_factor(const Case& at, double units);

}  // namespace wengert::test
