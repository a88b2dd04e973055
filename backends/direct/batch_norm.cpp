// Direct rung of batch norm: for each channel, or block of eight, two passes for mean and variance and one that writes, over all images in
// order. Memory sets the speed.
//   wengert bench op batch_norm --kernel direct
#include <wengert/backends/direct/elementwise.hpp>

#include <cmath>

#include <wengert/backends/direct/target.hpp>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE <wengert/backends/direct/batch_norm.cpp>
#include <wengert/backends/direct/highway-inl.hpp>
#include <wengert/backends/direct/channels-inl.hpp>

HWY_BEFORE_NAMESPACE();
namespace wengert::direct::HWY_NAMESPACE {
namespace {

// ---- Terms of the sums.

struct Itself {
  HWY_INLINE void operator()(V x, V, V* term) const { term[0] = x; }
};
struct MakeItself {
  HWY_INLINE Itself operator()(Index) const { return {}; }
};

struct Square {
  V mean;
  HWY_INLINE void operator()(V x, V, V* term) const {
    const V centred = hn::Sub(x, mean);
    term[0] = hn::Mul(centred, centred);
  }
};
struct MakeSquare {
  const Turns& mean;
  HWY_INLINE Square operator()(Index phase) const { return {turns_at(mean, phase)}; }
};

struct Gradients {  // of beta, and of gamma but for the factor of the channel
  V mean;
  HWY_INLINE void operator()(V x, V dy, V* term) const {
    term[0] = dy;
    term[1] = hn::Mul(dy, hn::Sub(x, mean));
  }
};
struct MakeGradients {
  const Turns& mean;
  HWY_INLINE Gradients operator()(Index phase) const { return {turns_at(mean, phase)}; }
};

// ---- What is written.

template <bool relu>
struct Normal {
  V mean, scale, shift;
  HWY_INLINE V operator()(V x, V) const {
    const V y = hn::MulAdd(hn::Sub(x, mean), scale, shift);
    return relu ? max_of(hn::Zero(D()), y) : y;  // this way round NaN passes
  }
};
template <bool relu>
struct MakeNormal {
  const Turns &mean, &scale, &shift;
  HWY_INLINE Normal<relu> operator()(Index phase) const { return {turns_at(mean, phase), turns_at(scale, phase), turns_at(shift, phase)}; }
};

struct Data {  // scale dy + slope (x - mean) + shift
  V mean, scale, slope, shift;
  HWY_INLINE V operator()(V x, V dy) const { return hn::MulAdd(dy, scale, hn::MulAdd(hn::Sub(x, mean), slope, shift)); }
};
struct MakeData {
  const Turns &mean, &scale, &slope, &shift;
  HWY_INLINE Data operator()(Index phase) const {
    return {turns_at(mean, phase), turns_at(scale, phase), turns_at(slope, phase), turns_at(shift, phase)};
  }
};

// totals[s][c], over all images, for the channels of the runs from `first` on.
template <int sums, class Make>
void sum_images(const ChannelRuns& runs, Index images, Index first, Index last, const float* a, const float* b, const Make& make,
                double (*totals)[8]) {
  for (Index n = 0; n < images; ++n) {
    const Index at = runs.offset(n, first);
    sum_run<sums>(runs.width(), runs.length(first, last), a + at, b + at, make, totals);
  }
}

template <class Make>
void map_images(const ChannelRuns& runs, Index images, Index first, Index last, const float* a, const float* b, const Make& make,
                float* out) {
  for (Index n = 0; n < images; ++n) {
    const Index at = runs.offset(n, first);
    map_run(runs.width(), runs.length(first, last), a + at, b + at, out + at, make);
  }
}

void batch_norm_work(const BatchNorm& size, Index first, Index last, const float* x, const float* gamma, const float* beta, bool relu,
                     float* y, float* mean, float* variance) {
  const ChannelRuns runs{size.layout, size.channels, size.pixels};
  const double count = static_cast<double>(size.images * size.pixels);
  for (Index c = first; c < last; c += runs.width()) {
    const Index width = runs.width(), channels = runs.count(c, last);
    double sum[1][8] = {}, squares[1][8] = {};
    sum_images<1>(runs, size.images, c, last, x, x, MakeItself{}, sum);
    for (Index j = 0; j < channels; ++j) mean[c + j] = static_cast<float>(sum[0][j] / count);
    const Turns centre(width, channels, mean + c);
    sum_images<1>(runs, size.images, c, last, x, x, MakeSquare{centre}, squares);
    float scales[8];
    for (Index j = 0; j < channels; ++j) {
      const double of_channel = squares[0][j] / count;
      variance[c + j] = static_cast<float>(of_channel);
      scales[j] = static_cast<float>(static_cast<double>(gamma[c + j]) / std::sqrt(of_channel + static_cast<double>(size.epsilon)));
    }
    const Turns scale(width, channels, scales), shift(width, channels, beta + c);
    if (relu) map_images(runs, size.images, c, last, x, x, MakeNormal<true>{centre, scale, shift}, y);
    else map_images(runs, size.images, c, last, x, x, MakeNormal<false>{centre, scale, shift}, y);
  }
}

void batch_norm_data_work(const BatchNorm& size, Index first, Index last, const float* x, const float* gamma, const float* mean,
                          const float* variance, const float* dy, float* dx, float* dgamma, float* dbeta) {
  const ChannelRuns runs{size.layout, size.channels, size.pixels};
  const double count = static_cast<double>(size.images * size.pixels);
  for (Index c = first; c < last; c += runs.width()) {
    const Index width = runs.width(), channels = runs.count(c, last);
    const Turns centre(width, channels, mean + c);
    double sums[2][8] = {};
    sum_images<2>(runs, size.images, c, last, x, dy, MakeGradients{centre}, sums);
    float scales[8], slopes[8], shifts[8];
    for (Index j = 0; j < channels; ++j) {
      const double r = 1.0 / std::sqrt(static_cast<double>(variance[c + j]) + static_cast<double>(size.epsilon));
      const double factor = static_cast<double>(gamma[c + j]) * r;
      dbeta[c + j] = static_cast<float>(sums[0][j]);
      dgamma[c + j] = static_cast<float>(sums[1][j] * r);
      scales[j] = static_cast<float>(factor);
      slopes[j] = static_cast<float>(-factor * r * r * sums[1][j] / count);
      shifts[j] = static_cast<float>(-factor * sums[0][j] / count);
    }
    const Turns scale(width, channels, scales), slope(width, channels, slopes), shift(width, channels, shifts);
    if (dx != nullptr) map_images(runs, size.images, c, last, x, dy, MakeData{centre, scale, slope, shift}, dx);
  }
}

}  // namespace
}  // namespace wengert::direct::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace wengert::direct {
namespace {
constexpr decltype(&HWY_NAMESPACE::batch_norm_work) works[] = WENGERT_EACH_TARGET(batch_norm_work);
constexpr decltype(&HWY_NAMESPACE::batch_norm_data_work) data_works[] = WENGERT_EACH_TARGET(batch_norm_data_work);
}  // namespace

void batch_norm(const BatchNorm& size, Index first, Index last, const float* x, const float* gamma, const float* beta, bool relu, float* y,
                float* mean, float* variance) {
  works[target_index()](size, first, last, x, gamma, beta, relu, y, mean, variance);
}

void batch_norm_data(const BatchNorm& size, Index first, Index last, const float* x, const float* gamma, const float* mean,
                     const float* variance, const float* dy, float* dx, float* dgamma, float* dbeta) {
  data_works[target_index()](size, first, last, x, gamma, mean, variance, dy, dx, dgamma, dbeta);
}

}  // namespace wengert::direct
#endif
