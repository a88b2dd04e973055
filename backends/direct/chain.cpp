#include <wengert/backends/direct/chain.hpp>

#include <algorithm>
#include <vector>

#include <wengert/backends/direct/elementwise.hpp>

namespace wengert::direct {

namespace {

using F = ChainLink::Function;

constexpr Index block = 256;  // floats: a chain of a dozen links keeps within half of a small L1 cache
constexpr Index lanes = 8;    // of a block of channels

void run_link(const ChainLink& link, Index count, const float* a, const float* b, float* out) {
  switch (link.function) {
    case F::relu: return unary(Unary::relu, count, a, out);
    case F::exp: return unary(Unary::exp, count, a, out);
    case F::log: return unary(Unary::log, count, a, out);
    case F::sqrt: return unary(Unary::sqrt, count, a, out);
    case F::tanh: return unary(Unary::tanh, count, a, out);
    case F::sigmoid: return unary(Unary::sigmoid, count, a, out);
    case F::affine: return affine(static_cast<float>(link.scale), static_cast<float>(link.shift), count, a, out);
    case F::add: return binary(Binary::add, count, a, b, out);
    case F::subtract: return binary(Binary::subtract, count, a, b, out);
    case F::multiply: return binary(Binary::multiply, count, a, b, out);
    case F::divide: return binary(Binary::divide, count, a, b, out);
    case F::maximum: return binary(Binary::maximum, count, a, b, out);
    case F::gate: return binary(Binary::gate, count, b, a, out);
  }
}

// One call: where each operand's block lies.
class Run {
 public:
  Run(const Chain& chain, std::span<const View> inputs, const View& out, float* buffers)
      : chain_(chain), inputs_(inputs), out_(out), buffers_(buffers) {}

  // The result's elements [first, last), within one run of channels where an input has one value a channel.
  void range(Index first, Index last) const {
    for (Index at = first; at < last; at += block) {
      const Index count = std::min(block, last - at);
      int result = chain_.inputs();
      for (const ChainLink& link : chain_.links) {
        const bool is_last = &link == &chain_.links.back();
        run_link(link, count, operand(link.a, at), link.b < 0 ? nullptr : operand(link.b, at),
                 is_last ? out_.write<float>() + at : buffer(result));
        ++result;
      }
    }
  }

  // Fills the buffers of inputs that repeat: `channels` values of each from channel `first` on, in turn.
  void repeat(ChainOperand which, Index first, Index channels, Index padded) const {
    for (int i = 0; i < chain_.inputs(); ++i) {
      if (kind(i) != which) continue;
      const View& input = inputs_[static_cast<std::size_t>(i)];
      const float* const values = input.read<float>() + first;
      float* const to = buffer(i);
      for (Index k = 0; k < block; ++k) to[k] = k % padded < channels ? values[k % padded] : 0.0f;
    }
  }

  bool has(ChainOperand which) const { return std::find(chain_.operands.begin(), chain_.operands.end(), which) != chain_.operands.end(); }

 private:
  ChainOperand kind(int input) const { return chain_.operands[static_cast<std::size_t>(input)]; }
  float* buffer(int operand) const { return buffers_ + operand * block; }
  const float* operand(int id, Index at) const {
    const bool each = id < chain_.inputs() && kind(id) == ChainOperand::each;
    return each ? inputs_[static_cast<std::size_t>(id)].read<float>() + at : buffer(id);
  }

  const Chain& chain_;
  std::span<const View> inputs_;
  const View& out_;
  float* buffers_;
};

}  // namespace

Index chain_workspace(const Chain& chain) {
  return (chain.inputs() + static_cast<Index>(chain.links.size())) * block * static_cast<Index>(sizeof(float));
}

void chain(const Chain& chain, std::span<const View> inputs, const View& out, void* workspace) {
  const Run run(chain, inputs, out, static_cast<float*>(workspace));
  const bool blocks = out.layout == Layout::nhwc8;
  run.repeat(ChainOperand::one, 0, 1, 1);
  if (!run.has(ChainOperand::channel)) {
    const Index channels = blocks ? (out.shape[1] + lanes - 1) / lanes * lanes : 0;
    return run.range(0, blocks ? out.shape[0] * channels * out.shape[2] * out.shape[3] : out.elements());
  }
  const Index width = blocks ? lanes : 1, pixels = out.shape[2] * out.shape[3];  // channels that lie together
  Index at = 0;
  for (Index n = 0; n < out.shape[0]; ++n) {
    for (Index c = 0; c < out.shape[1]; c += width, at += width * pixels) {
      run.repeat(ChainOperand::channel, c, std::min(width, out.shape[1] - c), width);
      run.range(at, at + width * pixels);
    }
  }
}

bool keeps_zero(const Chain& chain) {
  enum class Lane : std::uint8_t { zero, finite, unknown };  // what a padding lane holds of each operand
  std::vector<Lane> lane;
  for (const ChainOperand operand : chain.operands) lane.push_back(operand == ChainOperand::one ? Lane::finite : Lane::zero);
  for (const ChainLink& link : chain.links) {
    const Lane a = lane[static_cast<std::size_t>(link.a)], b = link.b < 0 ? Lane::zero : lane[static_cast<std::size_t>(link.b)];
    const Lane worse = std::max(a, b), better = std::min(a, b);
    const auto product = [&] { return worse == Lane::unknown ? Lane::unknown : better; };
    switch (link.function) {
      case F::exp:
      case F::log: lane.push_back(Lane::unknown); break;
      case F::sigmoid: lane.push_back(std::max(a, Lane::finite)); break;
      case F::affine: lane.push_back(link.shift == 0.0 ? a : std::max(a, Lane::finite)); break;
      case F::sqrt: lane.push_back(a == Lane::zero ? a : Lane::unknown); break;
      case F::divide: lane.push_back(a == Lane::zero && link.b < chain.inputs() && b == Lane::finite ? a : Lane::unknown); break;
      case F::multiply:
      case F::gate: lane.push_back(product()); break;
      default: lane.push_back(worse);
    }
  }
  return lane.back() == Lane::zero;
}

}  // namespace wengert::direct
