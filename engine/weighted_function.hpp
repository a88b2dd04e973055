// A function of Vars made scalar by random weights of its outputs' entries: its analytic gradients and its differences, for the gradient check.
#pragma once

#include <vector>

#include <wengert/engine/gradcheck.hpp>
#include <wengert/engine/random.hpp>

namespace wengert {

using Values = std::vector<double>;

// A change of every input at once; an empty one leaves its input as it is.
using Direction = std::vector<Values>;

class WeightedFunction {
 public:
  // Runs and differentiates the function once. `integers`: small integers as weights. Of the options it reads seed and catalogue.
  WeightedFunction(const GradcheckFunction& function, const std::vector<GradcheckInput>& inputs, const GradcheckOptions& options,
                   bool integers);

  bool empty() const;                                            // no floating output has an entry, or nothing can be moved
  DType dtype() const { return dtype_; }                         // of the outputs whose differences are taken
  SlopePrecision precision() const;                              // what gradients in their dtype and differences in theirs allow
  const std::vector<Values>& values() const { return values_; }  // of the floating outputs
  const std::vector<Values>& weights() const { return weights_; }
  const std::vector<Values>& points() const { return points_; }  // of the inputs; empty for those that do not vary
  const std::vector<Values>& gradients() const { return gradients_; }
  double rounding() const { return rounding_; }  // what rounding of outputs and inputs leaves in a difference

  // Summed entry by entry: entries that do not change leave nothing, however large they are.
  Differences differences(const Direction& direction, double step) const;

 private:
  bool varies(std::size_t input) const;
  Tape new_tape() const;
  std::vector<Var> leaves(Tape& tape, const std::vector<Tensor>& values) const;
  void differentiate(bool integers);
  void widen();
  void measure_rounding();
  std::vector<Var> run(const Direction& direction, double step) const;  // the floating outputs

  const GradcheckFunction& function_;
  const std::vector<GradcheckInput>& inputs_;
  const GradcheckOptions& options_;
  DType dtype_ = DType::f64, gradient_dtype_ = DType::f64;
  bool wide_ = false;  // differences are taken in f64, of a function in f32
  std::vector<Values> values_, weights_, points_, gradients_;
  double rounding_ = 0;
};

// Entries of 0.5 to 1.5 in magnitude, so that none hides; or the integers 1 and 2, of either sign.
Values random_values(std::size_t count, const RandomStream& random, bool integers);

double root_mean_square(const Values& values);

}  // namespace wengert
