// Var: a value on a tape, and At: a Var together with the place in the program that uses it.
#pragma once

#include <memory>
#include <string>

#include <wengert/engine/tensor.hpp>

namespace wengert {

class Tape;
struct TapeState;
struct CallChoice;

// Where a node was declared. The text lives as long as the program (a literal or an interned name).
struct Site {
  const char* file = nullptr;
  int line = 0;
  std::string text() const;  // "models/mnist_cnn.cpp:14", or empty
};

// "[conv2d 'conv1' models/mnist_cnn.cpp:14]": who an error is about. Name and place may be empty.
std::string caption(const std::string& op, const std::string& name, const Site& site);

// A copy of a text that lives until the program ends, for Sites made at run time (model scripts).
const char* intern(const std::string& text);

// A handle: it shares its tape and keeps it alive. Outside recording it holds only its value. A default Var is "none":
// the absent gradient of an input that has none.
class Var {
 public:
  Var() = default;
  explicit Var(Tensor value, bool batched = false) : value_(std::move(value)), batched_(batched) {}
  Var(std::shared_ptr<TapeState> tape, std::uint64_t generation, Index node, int output)
      : tape_(std::move(tape)), generation_(generation), node_(node), output_(output) {}

  explicit operator bool() const { return tape_ || value_; }
  const Spec& spec() const;  // these throw Error on "none" and on a Var whose tape was cleared
  const Shape& shape() const { return spec().shape; }
  DType dtype() const { return spec().dtype; }
  Tensor value() const;  // throws Error on a declaring tape
  double item() const { return value().item(); }
  Device device() const;  // where its value lives; on a declaring tape: the CPU
  bool batched() const;   // axis 0 is the batch of images

  std::string name() const;           // as given, or empty
  Var named(std::string name) const;  // names its node; returns itself

  bool recorded() const { return static_cast<bool>(tape_); }
  Tape tape() const;  // throws Error where it is not recorded
  Index node() const { return node_; }
  int output() const { return output_; }
  const std::shared_ptr<TapeState>& state() const { return tape_; }
  void check() const;  // throws Error where its tape was cleared

 private:
  std::shared_ptr<TapeState> tape_;
  std::uint64_t generation_ = 0;
  Index node_ = -1;
  int output_ = 0;
  Tensor value_;  // only where there is no tape
  bool batched_ = false;
};

// The first argument of every differentiable function: converts from Var and notes the caller's file and line. A layer passes its own
// At on, with its name, so that a node is named after the layer and points at the user's line.
struct At {
  Var var;
  Site site;
  std::string name = {};               // for the node that the call records
  const CallChoice* choice = nullptr;  // for this call alone; must outlive the call

  At(Var value, const char* file = __builtin_FILE(), int line = __builtin_LINE())  // implicit on purpose
      : var(std::move(value)), site{file, line} {}
  At(Var value, Site where) : var(std::move(value)), site(where) {}
  At named(std::string node_name) const {
    At result = *this;
    result.name = std::move(node_name);
    return result;
  }
  // conv2d(At(x).with({.kernel = "im2col", .executor = tbb_executor(2)}), w)
  At with(const CallChoice& call_choice) const {
    At result = *this;
    result.choice = &call_choice;
    return result;
  }
  At operator()(Var other) const {  // the same place and name, another value
    At result = *this;
    result.var = std::move(other);
    return result;
  }
};

}  // namespace wengert
