// Elementwise functions: a thread takes four neighbouring elements through all links of a chain, so that memory is passed over once.
// Memory sets the speed.
#pragma once

#include <array>

#include <wengert/backends/cuda/kernels/axes.hpp>
#include <wengert/backends/cuda/kernels/four.hpp>
#include <wengert/backends/cuda/kernels/program.hpp>

namespace wengert::cuda::WENGERT_CUDA_SIDE {

struct ChainInput {
  Global<const float> data;
  ChainOperand read = ChainOperand::each;
};

struct RunChain {
  Program program;
  ChainInput input[most_chain_inputs];
  Divisor pixels, channels;  // of the output's shape (N,C,pixels)
  Global<float> out;
  Index count = 0;
  bool vector = false;  // all that is read element by element, and the output, is aligned

  // Behind the last element, too.
  WENGERT_DEVICE float of_channel(const Global<const float>& data, Index i) const {
    std::uint32_t plane = pixels.quotient(static_cast<std::uint32_t>(i));
    return data.load(channels.split(plane));
  }
  WENGERT_DEVICE Four read(const ChainInput& from, Index i) const {
    switch (from.read) {
      case ChainOperand::one: {
        const float value = from.data.load(0);
        return {value, value, value, value};
      }
      case ChainOperand::channel:
        return {of_channel(from.data, i), of_channel(from.data, i + 1), of_channel(from.data, i + 2), of_channel(from.data, i + 3)};
      case ChainOperand::each: break;
    }
    return load_four(from.data, i, count, vector);
  }
  WENGERT_DEVICE Four operand(int code, const Four& previous, const Shared<float>& slots, Thread& thread, Index i) const {
    if (code == previous_link) return previous;
    if (code >= first_slot) return slots.load_four(((code - first_slot) * thread.size() + thread.index()) * four);
    return read(input[code], i);
  }

  WENGERT_DEVICE void operator()(Thread& thread) const {
    const Shared<float> slots = thread.shared<float>(0, program.slots * thread.size() * four);
    for (Index i = thread.global() * four; i < count; i += thread.total() * four) {
      Four value{0, 0, 0, 0};
      for (int l = 0; l < program.links; ++l) {
        const Link& link = program.link[l];
        const Four a = operand(link.a, value, slots, thread, i);
        const Four b = link.b == link.a ? a : operand(link.b, value, slots, thread, i);
        value = pointwise(link.f, a, b);
        if (link.slot >= 0) slots.store_four((link.slot * thread.size() + thread.index()) * four, value);
      }
      store_four(out, i, count, vector, value);
    }
  }
};

// Two operands that broadcast.
struct Broadcast {
  Pointwise f;
  Axes<2> axes;
  Global<const float> a, b;
  Global<float> y;
  Index count = 0;

  WENGERT_DEVICE void operator()(Thread& thread) const {
    for (Index i = thread.global(); i < count; i += thread.total()) {
      Index at[2];
      axes.place(static_cast<std::uint32_t>(i), at);
      y.store(i, pointwise(f, a.load(at[0]), b.load(at[1])));
    }
  }
};

inline void launch_chain(Queue& queue, RunChain& body) {
  want_elements(queue, body.count);
  if (body.count == 0) return;
  Grid grid = grid_for(ceil_div(body.count, four), chain_threads);
  grid.shared_bytes = body.program.slots * chain_threads * static_cast<int>(sizeof(Four));
  launch(queue, "chain", grid, body);
}

inline std::string refuse_chain(const Chain& chain) {
  Program program;
  return translate(chain, program);
}

inline void chain(Queue& queue, const Chain& chain, std::span<const float* const> inputs, const Shape& shape, float* out) {
  RunChain body;
  want(queue, translate(chain, body.program));
  const Index channels = shape.rank() > 1 ? shape[1] : 1, pixels = shape.rank() > 2 ? shape.elements(2, shape.rank()) : 1;
  body.count = shape.elements();
  body.out = {out, body.count};
  body.vector = aligned(out);
  if (body.count > 0) body.pixels = Divisor(pixels), body.channels = Divisor(channels);
  for (std::size_t k = 0; k < inputs.size(); ++k) {
    const ChainOperand read = chain.operands[k];
    const Index elements = read == ChainOperand::each ? body.count : read == ChainOperand::one ? 1 : channels;
    body.input[k] = {{inputs[k], elements}, read};
    if (read == ChainOperand::each) body.vector = body.vector && aligned(inputs[k]);
  }
  launch_chain(queue, body);
}

// A chain of one link; b null: there is none.
inline void single(Queue& queue, const Pointwise& f, Index count, const ChainInput& a, const ChainInput& b, bool vector, float* y) {
  RunChain body;
  body.program.links = 1;
  body.program.link[0] = {f, 0, static_cast<std::int8_t>(b.data.given() ? 1 : 0), -1};
  body.input[0] = a;
  body.input[1] = b;
  body.count = count;
  body.out = {y, count};
  body.vector = vector && aligned(y);
  launch_chain(queue, body);
}

inline void map(Queue& queue, const Pointwise& f, Index count, const float* x, float* y) {
  single(queue, f, count, {{x, count}, ChainOperand::each}, {}, aligned(x), y);
}

inline void unary(Queue& queue, Elementwise function, Index count, const float* x, float* y) { map(queue, {function}, count, x, y); }

inline void affine(Queue& queue, double scale, double shift, Index count, const float* x, float* y) {
  map(queue, function_of({ChainLink::Function::affine, 0, -1, scale, shift}), count, x, y);
}

inline void power(Queue& queue, double exponent, Index count, const float* x, float* y) {
  if (exponent == 2.0) unary(queue, Elementwise::square, count, x, y);
  else if (exponent == -1.0) unary(queue, Elementwise::reciprocal, count, x, y);
  else map(queue, {Elementwise::power, static_cast<float>(exponent)}, count, x, y);
}

inline void binary(Queue& queue, Elementwise function, const float* a, const Shape& a_shape, const float* b, const Shape& b_shape, float* y,
                   const Shape& y_shape) {
  const Index count = y_shape.elements(), in_a = a_shape.elements(), in_b = b_shape.elements();
  if (count == 0) return;
  const auto plain = [count](Index elements) { return elements == count || elements == 1; };
  if (plain(in_a) && plain(in_b)) {
    const ChainOperand read_a = in_a == count ? ChainOperand::each : ChainOperand::one,
                       read_b = in_b == count ? ChainOperand::each : ChainOperand::one;
    const bool vector = (read_a == ChainOperand::one || aligned(a)) && (read_b == ChainOperand::one || aligned(b));
    single(queue, {function}, count, {{a, in_a}, read_a}, {{b, in_b}, read_b}, vector, y);
    return;
  }
  want_elements(queue, count);
  const Axes<2> axes(y_shape, {broadcast_strides(a_shape, y_shape), broadcast_strides(b_shape, y_shape)});
  launch(queue, "broadcast", grid_for(count), Broadcast{{function}, axes, {a, in_a}, {b, in_b}, {y, count}, count});
}

inline ElementwiseFunctions elementwise_functions() { return {refuse_chain, chain, unary, affine, power, binary}; }

}  // namespace wengert::cuda::WENGERT_CUDA_SIDE
