// Gradient check: compares analytic gradients with differences of the function itself; the verdict is pass, fail or inconclusive.
// It prints nothing and computes with subnormal numbers kept.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <wengert/engine/slope.hpp>
#include <wengert/engine/tape.hpp>

namespace wengert {

struct GradcheckOptions {
  std::uint64_t seed = 1;
  DType dtype = DType::f64;              // of the gradients; differences are taken in f64 wherever the function runs in it
  int order = 1;                         // 2: the gradient of the gradient, as a function of the inputs and of the cotangents
  int directions = 3;                    // random ones of each input; and as many, at most 2, of all inputs jointly
  int entries = 4;                       // single entries of each input: the first, the steepest, and random ones
  Index only_case = -1;                  // of an op's samples; -1: all
  Index only_input = -1;                 // -1: all, and jointly
  int most_failures = 4;                 // stop there
  bool narrow = true;                    // a direction that fails is halved until one entry explains it, or a kink does
  const Catalogue* catalogue = nullptr;  // of the tapes; null: the built-in ops
  Device device = {};                    // that the gradients are computed on; differences are the host's
};

// One comparison that did not pass.
struct GradcheckFinding {
  Verdict verdict = Verdict::fail;
  std::string node = {};  // "[conv2d 'conv1' models/mnist_cnn.cpp:14]", or what was checked
  std::string op = {};
  Index number = -1;  // of the op's sample case
  int order = 1;
  Index input = -1;  // -1: all inputs jointly
  std::string input_name = {};
  Index index = -1;           // row-major in that input; -1: a direction of many entries that no single one explains
  std::string position = {};  // the same as "(n,c,h,w)"
  double analytic = 0, numeric = 0, left = 0, right = 0, error = 0;
  bool kink = false;  // the left and right slopes differ
  std::string reason = {};
  std::uint64_t seed = 1;
  std::string command = {};  // reruns this check alone

  std::string text() const;  // all of it in one line
};

constexpr const char* vacuous_check = "vacuous: all gradients, analytic and numeric, are zero";

struct GradcheckReport {
  Index checks = 0, passed = 0, zero = 0, inconclusive = 0, failed = 0;  // zero: both slopes are, which shows nothing
  std::vector<GradcheckFinding> findings = {};                           // failures, then inconclusive ones
  std::optional<GradcheckFinding> first_wrong_node = {};                 // of a model that failed

  // fail where anything failed (a check whose gradients are all zero has failed as vacuous), else inconclusive where anything was.
  Verdict verdict() const;
  void add(GradcheckFinding finding);
  void merge(const GradcheckReport& other);
  std::string text() const;  // "pass: 41 checks, 3 of zero slopes"
};

// A function of Vars on one eager tape. It is called many times, each on a tape of its own.
using GradcheckFunction = std::function<std::vector<Var>(std::span<const Var>)>;

struct GradcheckInput {
  Tensor value;  // floating ones are differentiated, in the dtype they have; others are constants
  std::string name = {};
  bool batched = false;  // axis 0 is the batch
  bool vary = true;      // false: a constant all the same
};

// What is known of a function, for its messages and its method.
struct GradcheckSubject {
  std::string node = "[function]";
  std::string op = {};
  Index number = -1;
  std::string command = {};
  bool multilinear = false;  // inputs are small integers: step 1, one input at a time, compared exactly
  bool constant = false;     // it has no gradient: slopes must be zero wherever differences can tell
  bool may_vanish = false;   // that all gradients are zero does not fail as vacuous
};

GradcheckReport check_function(const GradcheckFunction& function, const std::vector<GradcheckInput>& inputs,
                               const GradcheckOptions& options = {}, const GradcheckSubject& subject = {});

// All samples of an op, or options.only_case. Throws Error for an unknown op or case. `command` checks the op, for findings to say how to
// repeat them; empty where there is none.
GradcheckReport check_op(const Catalogue& catalogue, const std::string& op, const GradcheckOptions& options = {},
                         const std::string& command = {});

// A network: `loss` calls it on the data (all of which carries the batch on axis 0; floating data in options.dtype) and returns the loss, of any shape.
// Checked are the gradients of all trained parameters, which take part as Vars of options.dtype, slightly moved from their values
// (biases of 0 would stand on kinks), and of floating data. Where one fails, first_wrong_node is the first node in
// recorded order whose own vjp is wrong at the values of that run; where there is none, but kinks, the failure becomes inconclusive: kinks of
// several nodes may cancel in differences. A loss that is not finite fails.
//   check_model([&](std::span<const Var> data) { return softmax_cross_entropy(network(data[0]), data[1]); }, {images, labels});
using GradcheckLoss = std::function<Var(std::span<const Var> data)>;
GradcheckReport check_model(const GradcheckLoss& loss, const std::vector<Tensor>& data, const GradcheckOptions& options = {},
                            const std::string& command = {});

// Checks every differentiable node of a recorded eager run alone, in order, at the values of its inputs in that run,
// and stops at the first that fails. Nodes that gradients() recorded are checked too, unless `size` ends before them.
GradcheckReport check_nodes(const Tape& tape, Index size, const GradcheckOptions& options = {}, const std::string& command = {});

// "(1,0,2)" for a row-major position.
std::string position_text(const Shape& shape, Index index);

}  // namespace wengert
