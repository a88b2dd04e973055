#include <cstdio>
#include <wengert/wengert.hpp>
namespace wg = wengert;

int main() {
  wg::Adam adam = wg::Adam::report();
  adam.rate = 3e-3;
  wg::Trainer trainer(wg::MnistCnn{}, adam, {.batch = 64, .threads = 0, .seed = 1, .schedule = {.kind = wg::Schedule::Kind::one_cycle}});
  trainer.fit(wg::mnist::train(), {.epochs = 5, .validation = 5000});
  std::printf("%.4f\n", trainer.evaluate(wg::mnist::test()).accuracy);
  trainer.model().save("mnist.safetensors");
}
