// Tape: the append-only record of a computation (a Wengert list) that gradients() walks back.
#pragma once

#include <deque>
#include <map>
#include <optional>

#include <wengert/engine/catalogue.hpp>
#include <wengert/engine/parameter.hpp>

namespace wengert {

// One recorded operation.
struct Node {
  struct Input {
    Index node = 0;
    int output = 0;
  };
  const Op* op = nullptr;  // a leaf's op (variable, constant, batch, parameter) has no kernels
  Attributes attributes = {};
  std::vector<Input> inputs = {};
  std::vector<Tensor> outputs = {};  // declared only, on a declaring tape
  std::string name = {};
  Site site = {};
  Index origin = -1;               // the forward node whose vjp recorded this one
  std::uint32_t batched = 0;       // bit o: output o carries the batch on axis 0
  const Kernel* kernel = nullptr;  // what ran; null on a declaring tape and for leaves

  std::string text() const;  // "[conv2d 'conv1' models/mnist_cnn.cpp:14]"
};

// A handle on a shared recording; Vars on it keep it alive. Not for use by two threads at once.
class Tape {
 public:
  enum class Mode : std::uint8_t {
    eager,     // each op runs as it is recorded
    declaring  // shapes only; reading a value is an error
  };
  explicit Tape(Mode mode = Mode::eager);                       // with the built-in ops
  explicit Tape(Catalogue catalogue, Mode mode = Mode::eager);  // with these ops in place of built-in ones of the same name
  explicit Tape(std::shared_ptr<TapeState> state) : state_(std::move(state)) {}

  Mode mode() const;

  // Leaves. On a declaring tape only the tensor's spec is kept (a constant keeps its value).
  Var variable(Tensor value, std::string name = {}, const char* file = __builtin_FILE(), int line = __builtin_LINE());
  Var constant(Tensor value, std::string name = {}, const char* file = __builtin_FILE(), int line = __builtin_LINE());
  // Data whose axis 0 is the batch of images: ops on it are cut in chunks and run in parallel.
  Var batch(Tensor value, std::string name = {}, const char* file = __builtin_FILE(), int line = __builtin_LINE());
  // The node of a parameter, one a tape: shared weights sum their gradients. Throws Error where another parameter has its name.
  Var parameter(const Parameter& parameter, Site site = {});
  // Recorded reads of that parameter give this Var (of any floating dtype): how a model is differentiated or run in f64. Unrecorded
  // reads (NoRecording) give the parameter's own value. Throws Error where the parameter was read on this tape already.
  void bind(const Parameter& parameter, const Var& var);
  // Parameters read so far, in order of first use.
  std::vector<Parameter> parameters() const;

  Index size() const;  // nodes recorded
  const Node& node(Index id) const;
  Var var(Index node, int output = 0) const;
  void clear();                        // forgets all nodes; Vars of before become invalid and say so
  const Catalogue* catalogue() const;  // as given; null: the built-in ops
  std::string text() const;            // "tape 3" for messages

  bool operator==(const Tape& other) const { return state_ == other.state_; }
  const std::shared_ptr<TapeState>& state() const { return state_; }

 private:
  std::shared_ptr<TapeState> state_;
};

// The inside of a Tape: for the engine itself (apply, gradients, plans).
struct TapeState {
  Tape::Mode mode = Tape::Mode::eager;
  std::optional<Catalogue> catalogue = {};  // absent: built-in ops are used as they are, without a look-up
  std::uint64_t id = 0;
  std::uint64_t generation = 0;                              // grows with every clear()
  std::deque<Node> nodes = {};                               // references stay valid while the tape grows
  std::vector<std::pair<Parameter, Index>> parameters = {};  // and their nodes, in order of first use
  std::vector<std::pair<Parameter, Index>> bound = {};       // stand-ins given by bind()
};

// apply(): shape, choose, run (eager) and record. The only way anything is computed.
// A tape's nodes point at their ops: an op must outlive the tape unless the tape's own catalogue holds one of its name, which is then
// used in its place.
struct CallOptions {
  Site site = {};
  std::string name = {};
  const CallChoice* choice = nullptr;  // null: the scope's
  const Tape* tape = nullptr;          // for ops without inputs
};
std::vector<Var> apply(const Op& op, Attributes attributes, std::span<const Var> inputs, const CallOptions& options = {});
std::vector<Var> apply(const Op& op, Attributes attributes, std::initializer_list<Var> inputs, const CallOptions& options = {});
// An op with one output, called at a place: the form that the functions in ops/ use. `at.var` is the first input.
Var apply(const Op& op, Attributes attributes, const At& at, std::initializer_list<Var> others = {});

}  // namespace wengert
