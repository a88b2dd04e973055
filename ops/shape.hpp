// Moving elements about, for any dtype: transpose, the pair pad and slice, concatenate, flatten.
#pragma once

#include <array>
#include <string>
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

struct TransposeAttributes {
  std::vector<int> permutation;
  std::string describe() const;
};

// Element i of the part is element offset + i step of the whole, along each axis: slice reads the part, pad writes it.
struct PartAttributes {
  Shape result;                                         // the part of a slice, the whole of a pad
  std::array<Index, Shape::max_rank> offset{}, step{};  // in elements of the axis
  double value = 0.0;                                   // what pad puts around the part
  std::string describe() const;
};

struct ConcatenateAttributes {
  int axis = 0;
  std::string describe() const;
};

std::vector<Op> shape_ops();

}  // namespace wengert
