// A chain of elementwise functions as a thread runs it: plain numbers, its values in between in a register or in a slot of shared memory.
#pragma once

#include <algorithm>
#include <string>

#include <wengert/backends/chain.hpp>
#include <wengert/backends/cuda/kernels/pointwise.hpp>

namespace wengert::cuda::WENGERT_CUDA_SIDE {

constexpr int chain_threads = 256;
constexpr int most_links = 32, most_chain_inputs = 16;
constexpr int most_slots = most_shared_bytes / (chain_threads * static_cast<int>(sizeof(Four)));

// An operand is the chain's input of that number, or one of these, or `first_slot` + a slot.
constexpr int previous_link = -1, first_slot = most_chain_inputs;

struct Link {
  Pointwise f;
  std::int8_t a = 0, b = previous_link;
  std::int8_t slot = -1;  // where its result is kept for a link that is not the next one, or -1
};

struct Program {
  int links = 0, slots = 0;
  Link link[most_links] = {};
};

inline Pointwise function_of(const ChainLink& link) {
  const bool scales = link.function == ChainLink::Function::affine && link.shift == 0.0;
  return {scales ? Elementwise::scale : static_cast<Elementwise>(link.function), static_cast<float>(link.scale),
          static_cast<float>(link.shift)};
}

// The last link that reads the result of link l, or l.
inline int last_reader(const Chain& chain, int l) {
  const int result = chain.inputs() + l;
  int last = l;
  for (int reader = l + 1; reader < static_cast<int>(chain.links.size()); ++reader) {
    const ChainLink& link = chain.links[static_cast<std::size_t>(reader)];
    if (link.a == result || link.b == result) last = reader;
  }
  return last;
}

// Why the chain does not fit, or empty; then `program` is the chain's.
inline std::string translate(const Chain& chain, Program& program) {
  const int inputs = chain.inputs(), links = static_cast<int>(chain.links.size());
  if (links > most_links) return "wanted a chain of at most " + std::to_string(most_links) + " links, got " + std::to_string(links);
  if (inputs > most_chain_inputs)
    return "wanted a chain of at most " + std::to_string(most_chain_inputs) + " inputs, got " + std::to_string(inputs);
  program = Program();
  program.links = links;
  int free_from[most_slots] = {};  // the first link that may write the slot again
  for (int l = 0; l < links; ++l) {
    const ChainLink& from = chain.links[static_cast<std::size_t>(l)];
    const auto operand = [&](int o) {
      if (o < inputs) return static_cast<std::int8_t>(o);
      if (o == inputs + l - 1) return static_cast<std::int8_t>(previous_link);
      return static_cast<std::int8_t>(first_slot + program.link[o - inputs].slot);
    };
    Link& to = program.link[l];
    to.f = function_of(from);
    to.a = operand(from.a);
    to.b = from.b < 0 ? to.a : operand(from.b);
    const int last = last_reader(chain, l);
    if (last <= l + 1) continue;
    int* const slot = std::find_if(free_from, free_from + most_slots, [l](int from_link) { return from_link <= l; });
    if (slot == free_from + most_slots)
      return "wanted a chain that keeps at most " + std::to_string(most_slots) + " values between its links, got more";
    *slot = last;  // a link reads its operands before it keeps its result
    to.slot = static_cast<std::int8_t>(slot - free_from);
    program.slots = std::max(program.slots, to.slot + 1);
  }
  return {};
}

}  // namespace wengert::cuda::WENGERT_CUDA_SIDE
