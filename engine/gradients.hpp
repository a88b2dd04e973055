// Reverse mode: gradients of Vars with respect to Vars of the same tape.
#pragma once

#include <array>

#include <wengert/engine/tape.hpp>

namespace wengert {

struct GradientOptions {
  std::vector<Var> cotangents = {};  // one for each y, of its shape and dtype, on its tape or holding only a value; absent for scalar ys: 1
  bool zero_unused = false;          // an explicit zero for a variable that no y depends on, instead of an error
  bool record = true;                // record the gradients, so that they can be differentiated again
};

// d(sum of ys . cotangents) / d(each of wrt), in order, by one iterative reverse sweep over the vjps between them.
// Throws Error: a y that is not scalar and has no cotangent; an integer Var in wrt; a Var in wrt that no y depends on, by name;
// Vars of different or cleared tapes; a vjp that yields a shape or dtype other than its input's.
std::vector<Var> gradients(std::span<const Var> ys, std::span<const Var> wrt, const GradientOptions& options = {});
std::vector<Var> gradients(const Var& y, const std::vector<Var>& wrt, const GradientOptions& options = {});

// auto [dx, dw] = gradients<2>(y, {x, w});
template <std::size_t count>
std::array<Var, count> gradients(const Var& y, const std::array<Var, count>& wrt, const GradientOptions& options = {}) {
  const std::vector<Var> all = gradients(std::span<const Var>(&y, 1), std::span<const Var>(wrt), options);
  std::array<Var, count> result;
  for (std::size_t i = 0; i < count; ++i) result[i] = all[i];
  return result;
}

}  // namespace wengert
