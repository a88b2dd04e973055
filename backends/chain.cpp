#include <wengert/backends/chain.hpp>

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

namespace wengert {

const char* name(ChainLink::Function function) {
  using F = ChainLink::Function;
  switch (function) {
    case F::relu: return "relu";
    case F::exp: return "exp";
    case F::log: return "log";
    case F::sqrt: return "sqrt";
    case F::tanh: return "tanh";
    case F::sigmoid: return "sigmoid";
    case F::affine: return "affine";
    case F::add: return "add";
    case F::subtract: return "subtract";
    case F::multiply: return "multiply";
    case F::divide: return "divide";
    case F::maximum: return "maximum";
    case F::gate: return "gate";
  }
  return "?";
}

int Chain::like() const { return static_cast<int>(std::find(operands.begin(), operands.end(), ChainOperand::each) - operands.begin()); }

std::string Chain::describe() const {
  using F = ChainLink::Function;
  struct Text {
    std::string text;
    bool sum = false;  // wants brackets within a product
    std::string factor() const { return sum ? "(" + text + ")" : text; }
  };
  std::vector<Text> of;  // each operand
  for (int i = 0; i < inputs(); ++i) of.push_back({fmt::format("x{}", i)});
  for (const ChainLink& link : links) {
    const Text a = of[static_cast<std::size_t>(link.a)], b = link.b < 0 ? Text{} : of[static_cast<std::size_t>(link.b)];
    switch (link.function) {
      case F::add: of.push_back({a.text + " + " + b.text, true}); break;
      case F::subtract: of.push_back({a.text + " - " + b.factor(), true}); break;
      case F::multiply: of.push_back({a.factor() + " * " + b.factor()}); break;
      case F::divide: of.push_back({"(" + a.factor() + " / " + b.factor() + ")"}); break;
      case F::affine: {
        const std::string scaled = link.scale == 1.0 ? a.text : fmt::format("{:g} * {}", link.scale, a.factor());
        of.push_back({link.shift == 0.0 ? scaled : fmt::format("{} {} {:g}", scaled, link.shift < 0 ? "-" : "+", std::abs(link.shift)),
                      link.shift != 0.0 || (link.scale == 1.0 && a.sum)});
        break;
      }
      default: of.push_back({std::string(name(link.function)) + "(" + a.text + (b.text.empty() ? "" : ", " + b.text) + ")"});
    }
    constexpr std::size_t longest = 200;  // a value read twice doubles the text
    if (of.back().text.size() > longest) of.back().text = "...";
  }
  return of.back().text;
}

}  // namespace wengert
