// Parameter: a named value that lives outside tapes and is learned.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include <wengert/engine/var.hpp>

namespace wengert {

// How a parameter starts: uniform in [-bound, bound) from the Philox stream (seed, name), or a constant.
struct Initial {
  enum class Kind : std::uint8_t { uniform, constant };
  Kind kind = Kind::constant;
  double value = 0.0;  // the bound, or the constant

  static Initial constant(double value) { return {Kind::constant, value}; }
  static Initial uniform(double bound) { return {Kind::uniform, bound}; }
  static Initial he_uniform(Index fan_in);                     // bound sqrt(6 / fan_in), He et al. 2015, equation 10
  static Initial glorot_uniform(Index fan_in, Index fan_out);  // bound sqrt(6 / (fan_in + fan_out)), Glorot and Bengio 2010, equation 16
};

// A handle: copies share the value, and where it lives. f32, as models train.
class Parameter {
 public:
  enum class Role : std::uint8_t {
    trained,
    state  // carried along, not trained by gradients: running statistics, moments
  };
  Parameter(std::string name, const Shape& shape, Initial initial, Role role = Role::trained);

  const std::string& name() const;
  const Shape& shape() const;
  Role role() const;
  bool frozen() const;
  void freeze(bool frozen = true);  // a frozen parameter is read but not trained
  bool trainable() const { return role() == Role::trained && !frozen(); }

  Tensor value() const;          // on the host; shares there; set_value later does not change what was returned
  void set_value(Tensor value);  // goes to where the parameter lives. Throws Error on another shape or dtype
  Tensor tensor() const;         // where it lives: on the device that to() has moved it to
  Device device() const;
  void to(Device device) const;   // throws Error where the device has not been opened
  std::uint64_t version() const;  // grows with every change
  // For plans, which write parameters in place: makes sure that nobody else holds the buffer (copying it where somebody does), and
  // tells afterwards that it was written.
  void own();
  void changed();
  // Back to the initial value of a seed, unless a value was set meanwhile and `keep_set`.
  void initialise(std::uint64_t seed, bool keep_set = true);

  // As a Var beside x: the parameter's node on x's tape, or only its value (f32) where nothing is recorded.
  Var on(const At& x) const;

  Parameter clone() const;  // the same name and value, shared with nobody
  bool operator==(const Parameter& other) const { return state_ == other.state_; }

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace wengert
