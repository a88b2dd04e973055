// The tensors of an op's sample calls: the same on every run, by (seed, op, case, input), for tests, gradient checks and benchmarks.
#pragma once

#include <cstdint>
#include <vector>

#include <wengert/engine/op.hpp>

namespace wengert {

struct SampleOptions {
  std::uint64_t seed = 1;
  DType dtype = DType::f64;  // of the floating inputs; an f32 tensor holds the f64 one's values, rounded
  bool integers = false;     // small integers instead, so that sums of products are exact in f32 too
};

// The value of input `input` of case `number` of an op's samples.
Tensor sample_tensor(const std::string& op, Index number, Index input, const SampleInput& description, const SampleOptions& options = {});

// All inputs of a case.
std::vector<Tensor> sample_tensors(const Op& op, Index number, const SampleOptions& options = {});

// The same, given the samples: building them anew for every case costs more than the tensors.
std::vector<Tensor> sample_tensors(const Op& op, const std::vector<Sample>& samples, Index number, const SampleOptions& options = {});

}  // namespace wengert
