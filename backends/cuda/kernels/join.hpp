// Sums and maxima over the threads of a warp or of a block, by a fixed tree.
#pragma once

#include <limits>

#include <wengert/backends/cuda/thread.hpp>

namespace wengert::cuda::WENGERT_CUDA_SIDE {

constexpr float infinity = std::numeric_limits<float>::infinity(), not_a_number = std::numeric_limits<float>::quiet_NaN();

// An operation has a State, none() that changes nothing, join(a, b), of(value, number) for one element, and shuffle_xor() of a state.
struct Sum {
  using State = float;
  WENGERT_DEVICE static State none() { return 0; }
  WENGERT_DEVICE static State of(float value, Index) { return value; }
  WENGERT_DEVICE static State join(State a, State b) { return a + b; }
  WENGERT_DEVICE static State shuffle_xor(const Thread& thread, State a, int bits) { return thread.shuffle_xor(a, bits); }
};

// The largest value and the least number of an element that has it; a NaN is larger than any number.
struct Max {
  struct State {
    float value;
    std::int32_t number;
  };
  WENGERT_DEVICE static State none() { return {-infinity, 0x7fffffff}; }
  WENGERT_DEVICE static State of(float value, Index number) { return {value, static_cast<std::int32_t>(number)}; }
  WENGERT_DEVICE static bool beats(const State& a, const State& b) {
    const bool a_nan = a.value != a.value, b_nan = b.value != b.value;
    if (a_nan != b_nan) return a_nan;
    if (!a_nan && a.value != b.value) return a.value > b.value;
    return a.number < b.number;
  }
  WENGERT_DEVICE static State join(const State& a, const State& b) { return beats(b, a) ? b : a; }
  WENGERT_DEVICE static State shuffle_xor(const Thread& thread, const State& a, int bits) {
    return {thread.shuffle_xor(a.value, bits), thread.shuffle_xor(a.number, bits)};
  }
};

// The largest value alone. Where there is a NaN, the result may be NaN or not.
struct Largest {
  using State = float;
  WENGERT_DEVICE static State none() { return -infinity; }
  WENGERT_DEVICE static State join(State a, State b) { return b > a ? b : a; }
  WENGERT_DEVICE static State shuffle_xor(const Thread& thread, State a, int bits) { return thread.shuffle_xor(a, bits); }
};

// Every thread of the warp gets the states of all joined. The whole warp takes part.
template <class Operation>
WENGERT_DEVICE typename Operation::State join_warp(const Thread& thread, typename Operation::State state) {
  for (int bits = warp_size / 2; bits > 0; bits /= 2) state = Operation::join(state, Operation::shuffle_xor(thread, state, bits));
  return state;
}

// The same over `lanes` neighbouring threads: a warp, or the whole block. All threads of the block take part. For a block there is a state
// for each warp in shared memory, from a byte on.
template <class Operation>
WENGERT_DEVICE typename Operation::State join_lanes(const Thread& thread, typename Operation::State state, int lanes, int first_byte) {
  using State = typename Operation::State;
  state = join_warp<Operation>(thread, state);
  if (lanes == warp_size) return state;
  const int warps = thread.size() / warp_size;
  const Shared<State> of_warps = thread.shared<State>(first_byte, warps);
  if (thread.lane() == 0) of_warps.store(thread.warp(), state);
  thread.barrier();
  state = of_warps.load(0);
  for (int w = 1; w < warps; ++w) state = Operation::join(state, of_warps.load(w));
  thread.barrier();  // before the next states are written
  return state;
}

// Bytes of shared memory for that.
constexpr int join_bytes = most_threads / warp_size * 8;

}  // namespace wengert::cuda::WENGERT_CUDA_SIDE
