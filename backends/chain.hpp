// Chain: a few elementwise functions in a row, as kernels see them: each reads the chain's inputs or what came before it.
#pragma once

#include <string>
#include <vector>

#include <wengert/engine/view.hpp>

namespace wengert {

struct ChainLink {
  enum class Function : std::uint8_t { relu, exp, log, sqrt, tanh, sigmoid, affine, add, subtract, multiply, divide, maximum, gate };
  Function function = Function::add;
  int a = 0, b = -1;                // operands: the chain's inputs first, then the links' results in their order; b -1: there is none
  double scale = 1.0, shift = 0.0;  // affine: scale a + shift
};

inline constexpr ChainLink::Function chain_functions[] = {
    ChainLink::Function::relu,     ChainLink::Function::exp,      ChainLink::Function::log,    ChainLink::Function::sqrt,
    ChainLink::Function::tanh,     ChainLink::Function::sigmoid,  ChainLink::Function::affine, ChainLink::Function::add,
    ChainLink::Function::subtract, ChainLink::Function::multiply, ChainLink::Function::divide, ChainLink::Function::maximum,
    ChainLink::Function::gate};
const char* name(ChainLink::Function function);  // of the op that it is: "relu"

// How an input is read while the result's elements are walked.
enum class ChainOperand : std::uint8_t {
  each,    // it has the result's shape
  one,     // one value for all
  channel  // one value a channel, (1,C,1,1) or (C,1,1)
};

// The last link's result is the chain's.
struct Chain {
  std::vector<ChainOperand> operands = {};  // of each input; at least one is `each`
  std::vector<ChainLink> links = {};

  int inputs() const { return static_cast<int>(operands.size()); }
  int like() const;              // the first input with the result's shape
  std::string describe() const;  // as a formula in its inputs: "relu(x0 + x1)"; what gets too long is cut
};

}  // namespace wengert
