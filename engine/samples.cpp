#include <wengert/engine/samples.hpp>

#include <algorithm>

#include <fmt/format.h>

#include <wengert/engine/error.hpp>
#include <wengert/engine/random.hpp>

namespace wengert {

namespace {

constexpr double gap = 0.0625;  // between neighbours of a permutation of distinct values: exact in f32

// values[i] = transform(u) for u uniform in [0, 1).
template <class Transform>
void fill_with(std::vector<double>& values, const RandomStream& random, Transform transform) {
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = transform(random.uniform(static_cast<Index>(i)));
}

// Uniform in the integers [low, high].
auto integers_between(int low, int high) {
  return [low, high](double u) { return low + static_cast<int>(u * (high - low + 1)); };
}

// The sign is the lowest bit of u that the interval does not need.
template <class Magnitude>
auto either_sign(Magnitude magnitude) {
  return [magnitude](double u) { return u < 0.5 ? -magnitude(2 * u) : magnitude(2 * u - 1); };
}

void fill_rows_that_sum_to_one(std::vector<double>& values, const Shape& shape, const RandomStream& random, bool integers) {
  const auto columns = static_cast<std::size_t>(shape.rank() == 0 ? 1 : shape[shape.rank() - 1]);
  fill_with(values, random, [](double u) { return 0.5 + 1.5 * u; });
  for (std::size_t row = 0; columns > 0 && row + columns <= values.size(); row += columns) {
    double sum = 0;
    for (std::size_t c = 0; c < columns; ++c) sum += values[row + c];
    const auto chosen = static_cast<std::size_t>(values[row] * 16) % columns;
    for (std::size_t c = 0; c < columns; ++c) values[row + c] = integers ? (c == chosen ? 1.0 : 0.0) : values[row + c] / sum;
  }
}

std::vector<double> floating_values(const SampleInput& description, const RandomStream& random, bool integers) {
  std::vector<double> values(static_cast<std::size_t>(description.shape.elements()));
  switch (description.fill) {
    case SampleInput::Fill::positive:
      if (integers) fill_with(values, random, integers_between(1, 4));
      else fill_with(values, random, [](double u) { return 0.5 + 1.5 * u; });
      break;
    case SampleInput::Fill::away:
      if (integers) fill_with(values, random, either_sign(integers_between(1, 3)));
      else fill_with(values, random, either_sign([](double u) { return 0.25 + 1.75 * u; }));
      break;
    case SampleInput::Fill::distinct: {
      const auto count = static_cast<Index>(values.size());
      const std::vector<Index> order = permutation(count, random);
      for (std::size_t i = 0; i < values.size(); ++i) {
        const double centred = static_cast<double>(order[i] - count / 2);
        values[i] = integers ? centred : (centred + 0.5) * gap;  // never 0, where relu has its kink
      }
      break;
    }
    case SampleInput::Fill::row_stochastic: fill_rows_that_sum_to_one(values, description.shape, random, integers); break;
    case SampleInput::Fill::zeros: break;
    default:
      if (integers) fill_with(values, random, integers_between(-3, 3));
      else fill_normal(random, std::span<double>(values), 0.0, 1.0);
  }
  return values;
}

}  // namespace

Tensor sample_tensor(const std::string& op, Index number, Index input, const SampleInput& description, const SampleOptions& options) {
  const RandomStream random = random_stream(options.seed, fmt::format("{}/{}/{}", op, number, input));
  if (const std::vector<std::int32_t>& repeated = description.repeated; !repeated.empty()) {
    std::vector<std::int32_t> values(static_cast<std::size_t>(description.shape.elements()));
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = repeated[i % repeated.size()];
    return Tensor::copy(values.data(), description.shape);
  }
  if (description.fill == SampleInput::Fill::classes) {
    std::vector<std::int32_t> classes(static_cast<std::size_t>(description.shape.elements()));
    for (std::size_t i = 0; i < classes.size(); ++i) {
      classes[i] = static_cast<std::int32_t>(random.uniform(static_cast<Index>(i)) * static_cast<double>(description.bound));
    }
    return Tensor::copy(classes.data(), description.shape);
  }
  if (description.fill == SampleInput::Fill::bytes) {
    std::vector<std::uint8_t> bytes(static_cast<std::size_t>(description.shape.elements()));
    constexpr double values = 256;
    for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::uint8_t>(random.uniform(static_cast<Index>(i)) * values);
    return Tensor::copy(bytes.data(), description.shape);
  }
  const std::vector<double> values = floating_values(description, random, options.integers);
  return Tensor::copy(values.data(), description.shape).cast(options.dtype);
}

std::vector<Tensor> sample_tensors(const Op& op, const std::vector<Sample>& samples, Index number, const SampleOptions& options) {
  if (number < 0 || number >= static_cast<Index>(samples.size())) {
    fail(fmt::format("[{}] has {} sample cases, counted from 0; there is no case {}", op.name, samples.size(), number));
  }
  std::vector<Tensor> tensors;
  for (const SampleInput& input : samples[static_cast<std::size_t>(number)].inputs) {
    tensors.push_back(sample_tensor(op.name, number, static_cast<Index>(tensors.size()), input, options));
  }
  return tensors;
}

std::vector<Tensor> sample_tensors(const Op& op, Index number, const SampleOptions& options) {
  return sample_tensors(op, op.samples(), number, options);
}

}  // namespace wengert
