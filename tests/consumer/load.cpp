#include <cstdio>
#include <wengert/wengert.hpp>
namespace wg = wengert;

int main() {
  wg::Model model(wg::MnistCnn{}, {1, 28, 28});                   // or wg::load_model("digits.safetensors"), where the file carries its script
  model.load("mnist.safetensors");
  const wg::Dataset digits = wg::mnist::test();
  const wg::Index first[] = {0, 1, 2};
  const wg::Tensor logits = model(digits.gather(first, 3).images);  // (3,10)
  std::printf("%.4f\n", wg::evaluate(model, digits).accuracy);
}
