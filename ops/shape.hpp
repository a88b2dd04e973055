// Moving elements about, for any dtype: transpose, the pair pad and slice, concatenate, flatten.
#pragma once

#include <vector>

#include <wengert/engine/structural.hpp>

namespace wengert {

// y's axis i is x's axis permutation[i]. Without a permutation the axes are reversed.
Var transpose(const At& x, const std::vector<int>& permutation);
Var transpose(const At& x);

// `before[axis]` and `after[axis]` elements of `value` around x, one number for each axis.
Var pad(const At& x, const std::vector<Index>& before, const std::vector<Index>& after, double value = 0.0);

// x[begin : end : step], one number for each axis, 0 <= begin <= end <= size; an empty `step` means 1 everywhere.
Var slice(const At& x, const std::vector<Index>& begin, const std::vector<Index>& end, const std::vector<Index>& step = {});

// The parts one behind the other along an axis (negative: from the end); their other axes are equal. At most 31 parts.
Var concatenate(const std::vector<Var>& parts, int axis, std::string name = {}, const char* file = __builtin_FILE(),
                int line = __builtin_LINE());

// (N, ...) -> (N, product of the rest), as reshape.
Var flatten(const At& x);

std::vector<Op> shape_ops();

}  // namespace wengert
