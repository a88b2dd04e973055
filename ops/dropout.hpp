// Dropout: Srivastava, Hinton, Krizhevsky, Sutskever, Salakhutdinov 2014, in the inverted form that needs no scaling in evaluation.
#pragma once

#include <cstdint>
#include <string>

#include <wengert/engine/tape.hpp>

namespace wengert {

struct DropoutAttributes {
  double rate = 0.5;  // the probability that an element is dropped, in [0, 1)
  std::uint64_t seed = 0;
  std::uint64_t stream = 0;  // hash_name() of the layer
  std::string describe() const;
};

// y = x mask / (1 - rate). mask[i] is 1 where number i of RandomStream(seed, stream, step) is below 1 - rate, i the
// row-major index in the whole batch: the same for any chunks, threads and kernels. step is an i32 scalar.
Var dropout(const At& x, const Var& step, const DropoutAttributes& attributes);

// As a layer of that name uses it: seed and step come from the TrainingScope, and outside one it is the identity.
Var dropout(const At& x, double rate, const std::string& name);

std::vector<Op> dropout_ops();

}  // namespace wengert
