#include <wengert/backends/naive/batch_norm.hpp>

#include <cmath>

namespace wengert::naive {
namespace {

// body(first element of a plane) for the planes of one channel in all images.
template <class Body>
void for_each_plane(const Shape& shape, Index channel, Index plane, const Body& body) {
  for (Index n = 0; n < shape[0]; ++n) body((n * shape[1] + channel) * plane);
}

}  // namespace

void batch_norm(double epsilon, const View& x, const View& gamma, const View& beta, const View& y, const View& mean, const View& variance) {
  const Index plane = x.shape.elements(2, x.shape.rank());
  const double count = static_cast<double>(x.shape[0] * plane);
  visit_float(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    const T* const from = x.read<T>();
    T* const to = y.write<T>();
    for (Index c = 0; c < x.shape[1]; ++c) {
      double sum = 0;  // in double, so that f32 keeps its digits over a large batch
      for_each_plane(x.shape, c, plane, [&](Index first) {
        for (Index i = first; i < first + plane; ++i) sum += from[i];
      });
      const double centre = sum / count;
      double squares = 0;
      for_each_plane(x.shape, c, plane, [&](Index first) {
        for (Index i = first; i < first + plane; ++i) squares += (from[i] - centre) * (from[i] - centre);
      });
      mean.write<T>()[c] = static_cast<T>(centre);
      variance.write<T>()[c] = static_cast<T>(squares / count);
      const double scale = gamma.read<T>()[c] / std::sqrt(squares / count + epsilon), shift = beta.read<T>()[c];
      for_each_plane(x.shape, c, plane, [&](Index first) {
        for (Index i = first; i < first + plane; ++i) to[i] = static_cast<T>((from[i] - centre) * scale + shift);
      });
    }
  });
}

}  // namespace wengert::naive
