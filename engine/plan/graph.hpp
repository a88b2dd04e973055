// Graph: what the passes of a plan work on, a recorded tape as plain lists of values and steps.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include <wengert/engine/catalogue.hpp>
#include <wengert/engine/tape.hpp>

namespace wengert::plan {

using ValueId = int;
using StepId = int;

// How the chunk pass lets a step see the batch.
enum class Extent : std::uint8_t {
  chunk,    // once for each chunk of the batch
  partial,  // once for each chunk; the outputs add up over the chunks behind the next barrier
  whole     // once, with whole values
};

// Where the place pass puts a value.
enum class Storage : std::uint8_t {
  none,   // nobody reads it
  input,  // the caller's
  constant,
  parameter,
  batch,     // the batch arena: what outlives its level
  partials,  // a slot a chunk
  scratch    // a slot a worker: what lives and dies within a chunk's task
};

struct Value {
  enum class Source : std::uint8_t { step, input, constant, parameter };
  Spec spec = {};
  Source source = Source::step;
  StepId maker = -1;      // the step whose output it is
  int output = 0;         // which of that step's
  bool batched = false;   // carries the batch on axis 0
  bool wanted = false;    // read by the plan's user
  bool backward = false;  // made by a reverse sweep
  std::string name = {};
  Tensor constant = {};  // source constant
  std::optional<Parameter> parameter = {};
  Index node = -1;  // of the tape, and which of its outputs: what find() looks for
  int node_output = 0;

  Layout layout = Layout::nchw;  // laid out by the choose pass
  Index capacity = 0;            // layout winners
  Index packed_bytes = 0;        // layout packed

  Storage storage = Storage::none;  // placed by the place pass
  Index offset = 0;                 // bytes into its arena
  ValueId same_as = -1;             // lies where that value lies: a reshape, an update in place

  // Bytes of `images` images, or of the whole value where it does not carry the batch.
  Index bytes(Index images) const;
};

// Weights as a kernel wants them, made from `from` whenever that changes.
struct Packing {
  StepId step = -1;  // whose kernel packs
  int input = 0;
  ValueId from = -1, to = -1;
};

struct Step {
  const Op* op = nullptr;
  Attributes attributes = {};
  std::vector<ValueId> inputs = {}, outputs = {};
  std::string name = {};
  Site site = {};
  std::string fusion = {};  // the rule that made it
  bool alive = true;
  bool backward = false;         // recorded by a reverse sweep; a fused step is what its anchor was
  Layout prefer = Layout::nchw;  // of output 0, where a rule knows its readers

  BatchEffect effect = {};  // chunk pass
  Extent extent = Extent::whole;
  int level = 0;  // levels run one after the other, with a barrier between

  const Kernel* kernel = nullptr;  // choose pass
  std::shared_ptr<const PreparedKernel> prepared = {};
  std::string why = {};  // this kernel

  Index partial_offset = 0;  // place pass: bytes into the partials arena; extent partial
  Index partial_bytes = 0;   // of one chunk's slot

  std::string text() const;  // "[conv2d 'conv1' models/mnist_cnn.cpp:14]"
};

// A note of a pass for the printed plan: "fuse: conv2d + bias + relu at 'conv1'".
struct Note {
  std::string pass, text;
};

class Graph {
 public:
  // Takes over what a declaring tape has recorded. Throws Error on an eager tape, on outputs of another tape and on
  // what a plan cannot hold.
  Graph(const Tape& tape, const std::vector<Var>& outputs);

  std::vector<Value> values = {};
  std::vector<Step> steps = {};       // in an order in which they may run
  std::vector<ValueId> outputs = {};  // of the plan, in the caller's order
  std::vector<ValueId> inputs = {};
  std::vector<Packing> packings = {};
  Device device = {};                    // where it will run
  const Catalogue* catalogue = nullptr;  // of the kernels that it may run; null: those that each op has
  Index batch = 0;                       // images; 0: nothing carries the batch
  Index chunk = 0;                       // images in a chunk
  int levels = 0;
  std::vector<Note> notes = {};
  std::shared_ptr<TapeState> tape = {};  // keeps ops alive

  Value& value(ValueId id) { return values[static_cast<std::size_t>(id)]; }
  const Value& value(ValueId id) const { return values[static_cast<std::size_t>(id)]; }
  Step& step(StepId id) { return steps[static_cast<std::size_t>(id)]; }
  const Step& step(StepId id) const { return steps[static_cast<std::size_t>(id)]; }
  Index chunks() const { return batch == 0 ? 1 : (batch + chunk - 1) / chunk; }
  void note(std::string pass, std::string text) { notes.push_back({std::move(pass), std::move(text)}); }

  ValueId find(const Var& var) const;  // the value of a recorded Var. Throws Error where it is not part of the graph.

  // What fusion rules ask.
  const Step* maker(ValueId id) const;             // null for leaves
  bool made_by(ValueId id, const char* op) const;  // by a living step of that op
  const Op& resolve(const Op& op) const { return catalogue != nullptr ? catalogue->resolve(op) : op; }
  bool on_device() const { return device.kind != Device::Kind::cpu; }
  std::vector<StepId> readers(ValueId id) const;                             // living steps, each once, in order
  bool read_only_by(ValueId id, std::initializer_list<StepId> steps) const;  // and not wanted by the user
  ValueId through_reshape(ValueId id) const;                                 // what it is a reshape of, or itself

  // Adds a step in front of `before`, with new output values of these specs; batch flags by the op's batch rule.
  StepId insert(StepId before, Step step, const std::vector<Spec>& output_specs);
  // From now on everybody reads `to` in place of `from`.
  void replace(ValueId from, ValueId to);
  void remove(StepId step) { steps[static_cast<std::size_t>(step)].alive = false; }
  void set_input(StepId step, std::size_t input, ValueId to);
  void changed() { index_ = {}; }  // after other changes of `steps`, for readers()

  std::vector<Spec> specs_of(const std::vector<ValueId>& ids) const;
  std::uint32_t batched_inputs(const Step& step) const;

 private:
  void want_unassigned(ValueId output) const;

  // The steps that read each value, one after the other; empty where it has to be made again.
  struct ReaderIndex {
    std::vector<std::size_t> first;  // of each value, and the end
    std::vector<StepId> steps;
  };
  void make_index() const;

  mutable ReaderIndex index_ = {};
};

}  // namespace wengert::plan
