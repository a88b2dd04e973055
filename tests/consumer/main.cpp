// A program outside the project: it needs the installed Wengert and a C++20 compiler, nothing else.
#include <cstdio>

#include <wengert/wengert.hpp>

namespace wg = wengert;

int main() {
  wg::Tape tape;
  wg::Var x = tape.variable({1.0, 2.0, 3.0}, "x");
  auto [dx] = wg::gradients<1>(sum(x * x), {x});
  const double last = dx.value().view().read<double>()[2];
  std::printf("d(sum(x*x))/dx at x = 3: %g\n", last);
  return last == 6.0 ? 0 : 1;
}
