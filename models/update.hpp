// Update: the optimiser's part of a training step, with its moments.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include <wengert/engine/parameter.hpp>
#include <wengert/engine/tape.hpp>
#include <wengert/models/settings.hpp>

namespace wengert {

struct SafetensorsFile;

// What changes from step to step: scalar leaves of a declared step.
struct StepScalars {
  std::vector<std::pair<double, Var>> rates = {};  // by the factor of a rate group
  Var correction1 = {}, correction2 = {};          // of Adam: 1 - beta^t
};

class Update {
 public:
  Update(Optimiser optimiser, std::vector<RateGroup> groups) : optimiser_(optimiser), groups_(std::move(groups)) {}

  const Optimiser& optimiser() const { return optimiser_; }
  std::string describe() const;

  // Gradients of the loss by the trainable parameters, in their order. Throws Error naming the parameter where one is not finite.
  std::vector<Var> finite_gradients(const Tape& tape, const Var& loss, const std::vector<Parameter>& parameters) const;

  // Those gradients, then an assign of each parameter and its moments. t counts from 1.
  void apply(const Tape& tape, const Var& loss, const std::vector<Parameter>& parameters, Index t, double rate);

  // The same on a declaring tape, for a plan; nothing is checked or run.
  StepScalars declare(const Tape& tape, const Var& loss, const std::vector<Parameter>& parameters);
  // The values of those scalars at step t (from 1): set(scalar, value).
  void set_scalars(const StepScalars& scalars, Index t, double rate, const std::function<void(const Var&, double)>& set) const;

  // Moments as parameters named "optimiser.first.NAME" and so on.
  std::vector<Parameter> moments() const;
  // Takes the moments of these parameters from a saved file; the path is for messages. Throws Error where one is missing or of another
  // shape; moments taken before stay taken.
  void restore(const SafetensorsFile& file, const std::filesystem::path& path, const std::vector<Parameter>& parameters);

 private:
  // The next value of one parameter and its moments; `read` turns a Parameter into its Var.
  void step_one(const Parameter& p, const std::function<Var(const Parameter&)>& read, const Var& gradient, const Var& rate,
                const Var& correction1, const Var& correction2);
  std::vector<Parameter> trained(const std::vector<Parameter>& parameters) const;
  Parameter& moment(const char* kind, const Parameter& of);
  double group_factor(const std::string& name) const;

  Optimiser optimiser_;
  std::vector<RateGroup> groups_;
  std::map<std::string, Parameter> moments_;
};

}  // namespace wengert
