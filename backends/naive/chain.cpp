#include <wengert/backends/naive/chain.hpp>

#include <cmath>

namespace wengert::naive {

namespace {

template <class T>
T link_value(const ChainLink& link, T a, T b) {
  using F = ChainLink::Function;
  switch (link.function) {
    case F::relu: return a <= T(0) ? T(0) : a;
    case F::exp: return std::exp(a);
    case F::log: return std::log(a);
    case F::sqrt: return std::sqrt(a);
    case F::tanh: return std::tanh(a);
    case F::sigmoid: {
      const T e = std::exp(-std::abs(a));
      return (a >= T(0) ? T(1) : e) / (T(1) + e);
    }
    case F::affine: return static_cast<T>(link.scale) * a + static_cast<T>(link.shift);
    case F::add: return a + b;
    case F::subtract: return a - b;
    case F::multiply: return a * b;
    case F::divide: return a / b;
    case F::maximum: return a >= b || std::isnan(a) ? a : b;
    case F::gate: return a <= T(0) ? T(0) : b;
  }
  return a;
}

}  // namespace

void chain(const Chain& chain, std::span<const View> inputs, const View& out) {
  const Index channels = out.shape.rank() > 1 ? out.shape[1] : 1,
              pixels = out.shape.rank() > 2 ? out.shape.elements(2, out.shape.rank()) : 1;
  visit_float(out.dtype, [&](auto zero) {
    using T = decltype(zero);
    std::vector<T> values(inputs.size() + chain.links.size());
    for (Index i = 0; i < out.elements(); ++i) {
      for (std::size_t k = 0; k < inputs.size(); ++k) {
        const ChainOperand operand = chain.operands[k];
        values[k] = inputs[k].read<T>()[operand == ChainOperand::each ? i : operand == ChainOperand::one ? 0 : i / pixels % channels];
      }
      std::size_t next = inputs.size();
      for (const ChainLink& link : chain.links) {
        values[next++] =
            link_value(link, values[static_cast<std::size_t>(link.a)], link.b < 0 ? T(0) : values[static_cast<std::size_t>(link.b)]);
      }
      out.write<T>()[i] = values.back();
    }
  });
}

}  // namespace wengert::naive
