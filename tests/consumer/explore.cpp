#include <iostream>
#include <wengert/wengert.hpp>
namespace wg = wengert;

int main() {
  wg::Tape tape;
  wg::Var x = tape.variable({1.0, 2.0, 3.0}, "x");
  wg::Var y = sum(x * tanh(x));
  auto [dx] = wg::gradients<1>(y, {x});               // a Var again: differentiate it again if you like
  std::cout << dx.value() << '\n';
}
