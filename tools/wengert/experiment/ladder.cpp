// Experiment ladder: the kernels of the report's second convolution on a roofline (Williams, Waterman and Patterson 2009).
#include <memory>

#include <fmt/format.h>

#include <wengert/backends/direct/target.hpp>
#include <wengert/backends/tbb/executor.hpp>
#include <wengert/engine/error.hpp>
#include <wengert/engine/samples.hpp>
#include <wengert/ops/catalogue.hpp>
#include <wengert/ops/conv.hpp>

#include "../bench.hpp"
#include "../peak.hpp"
#include "../planned_conv.hpp"
#include "experiment.hpp"

namespace wengert::command::experiment {

namespace {

constexpr double giga = 1e-9;

Json measure_machine() {
  return {{"peak_gflops", multiply_add_speeds({direct::target()})[0] * giga},
          {"gigabytes_per_second", copy_speeds(std::span(areas).last(1))[0] * giga}};
}

// The second convolution forward, as a plan runs it, on one thread.
Json measure_kernel(const std::string& backend, Index batch) {
  const Catalogue catalogue = builtin_catalogue();
  const Op& op = catalogue.at("conv2d");
  const Shape image{batch, 8, 24, 24}, filter{8, 8, 5, 5};
  const ConvGeometry geometry = resolve({}, image, filter);
  const auto random = [&](Index input, const Shape& shape) { return sample_tensor("ladder", 0, input, {shape}, {1, DType::f32, false}); };
  const std::vector<Tensor> inputs = {random(0, image), random(1, filter)};
  for (const Kernel& kernel : op.kernels) {
    if (kernel.backend != backend) continue;
    PlannedConv conv(op, ConvAttributes{geometry}, kernel, inputs);
    if (!conv.refusal().empty()) fail("[ladder] " + backend + " refuses: " + conv.refusal());
    const std::shared_ptr<Executor> serial = tbb_executor(1);
    const Timing time = time_in_turn({[&] { conv.run(*serial); }})[0];
    const Index floats = inputs[0].elements() + inputs[1].elements() + batch * geometry.filters * geometry.out_height * geometry.out_width;
    return {{"kernel", backend}, {"flops", geometry.flops(batch)}, {"bytes", floats * size_of(DType::f32)}, {"seconds", time.median}};
  }
  fail("[ladder] conv2d has no kernel " + backend);
}

}  // namespace

std::vector<Measurement> ladder_measurements(const ExperimentSettings& settings) {
  std::vector<Measurement> list = {{"ladder", "ladder/machine", "ladder: the machine's limits", 1, measure_machine}};
  const Index batch = settings.quick ? 8 : 64;
  for (const Kernel& kernel : builtin_catalogue().at("conv2d").kernels) {
    if (kernel.device != Device::Kind::cpu) continue;
    list.push_back({"ladder", "ladder/" + kernel.backend, "ladder: " + kernel.backend, 2,
                    [backend = kernel.backend, batch] { return measure_kernel(backend, batch); }});
  }
  return list;
}

}  // namespace wengert::command::experiment
