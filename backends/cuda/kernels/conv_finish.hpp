// What a thread of the tiled convolution does with its sums: bias, ReLU and gate on the way to memory, or a max pool within the thread.
#pragma once

#include <utility>

#include <wengert/backends/cuda/kernels/conv_tile.hpp>

namespace wengert::cuda::WENGERT_CUDA_SIDE {

template <class F, int... i>
WENGERT_DEVICE void unrolled(std::integer_sequence<int, i...>, const F& f) {
  (f(i), ...);
}
// f(0), ..., f(count - 1), written out: a large loop that the compiler leaves would keep what it indexes in memory.
template <int count, class F>
WENGERT_DEVICE void unrolled(const F& f) {
  unrolled(std::make_integer_sequence<int, count>(), f);
}

WENGERT_DEVICE float relu_of(float value) { return value <= 0.0f ? 0.0f : value; }

struct ConvStore {
  Global<float> out;
  Global<const float> bias, gate;  // or none
  bool relu = false;
  bool vector = false;  // a thread's columns can be loaded and stored as four

  template <int thread_filters, int thread_rows>
  WENGERT_DEVICE void operator()(const ConvPass& pass, const ConvPlace& at, int pixel_step,
                                 const float (&sums)[thread_filters][thread_rows][thread_columns]) const {
    if (at.image >= pass.images) return;
    const GatherAxis &rows = pass.vertical, &columns = pass.horizontal;
    for (int k = 0; k < thread_filters; ++k) {
      if (at.filter + k >= pass.out_channels) continue;
      const int channel = at.group * pass.out_channels + at.filter + k;
      const int plane = (at.image * pass.groups * pass.out_channels + channel) * rows.places;
      const float added = bias.given() ? bias.load(channel) : 0.0f;
      for (int p = 0; p < thread_rows; ++p) {
        if (at.row + p >= rows.out) continue;
        const int first = (plane + rows.place_first + (at.row + p) * rows.place_step) * columns.places + columns.place_first;
        if (vector && at.column + thread_columns <= columns.out) {
          store_run(first + at.column, sums[k][p], added);
        } else {
          for (int i = 0; i < thread_columns; ++i) {
            const int column = at.column + i * pixel_step, place = first + column * columns.place_step;
            if (column < columns.out) out.store(place, gated(finished(sums[k][p][i] + added), gate.given() ? gate.load(place) : 1.0f));
          }
        }
      }
    }
  }

  WENGERT_DEVICE float finished(float value) const { return relu ? relu_of(value) : value; }
  WENGERT_DEVICE static float gated(float value, float open) { return open <= 0.0f ? 0.0f : value; }

  WENGERT_DEVICE void store_run(int place, const float (&sums)[thread_columns], float added) const {
    const Four open = gate.given() ? gate.load_four(place) : Four{1.0f, 1.0f, 1.0f, 1.0f};
    out.store_four(place, {gated(finished(sums[0] + added), open.x), gated(finished(sums[1] + added), open.y),
                           gated(finished(sums[2] + added), open.z), gated(finished(sums[3] + added), open.w)});
  }
};

// Windows of 2 x 2, 1 x 2 or 2 x 1 pixels; a thread has whole ones.
struct ConvMaxPool {
  Global<float> out;
  Global<std::int32_t> positions;
  Global<const float> bias;  // or none
  bool relu = false;
  int window_height, window_width, height, width;  // of the pooled planes

  template <int thread_filters, int thread_rows>
  WENGERT_DEVICE void operator()(const ConvPass& pass, const ConvPlace& at, int /*pixel_step*/,
                                 const float (&sums)[thread_filters][thread_rows][thread_columns]) const {
    if (at.image >= pass.images) return;
    unrolled<thread_filters>([&](int k) {
      if (at.filter + k >= pass.out_channels) return;
      const int channel = at.group * pass.out_channels + at.filter + k;
      const int plane = at.image * pass.groups * pass.out_channels + channel;
      const float added = bias.given() ? bias.load(channel) : 0.0f;
      if (window_height == 2 && window_width == 2) pool<2, 2>(pass, at, plane, sums[k], added);
      else if (window_height == 1) pool<1, 2>(pass, at, plane, sums[k], added);
      else pool<2, 1>(pass, at, plane, sums[k], added);
    });
  }

  // The first maximum in row-major order; the first NaN before all others.
  template <int window_rows, int window_columns, int thread_rows>
  WENGERT_DEVICE void pool(const ConvPass& pass, const ConvPlace& at, int plane, const float (&sums)[thread_rows][thread_columns],
                           float added) const {
    for (int p = 0; p < thread_rows; p += window_rows)
      for (int i = 0; i < thread_columns; i += window_columns) {
        float best = sums[p][i] + added;
        int best_at = (at.row + p) * pass.horizontal.places + at.column + i;
        const int first = best_at;
        for (int j = 1; j < window_rows * window_columns; ++j) {
          const float value = sums[p + j / window_columns][i + j % window_columns] + added;
          const bool better = best == best && !(value <= best);
          best = better ? value : best;
          best_at = better ? first + j / window_columns * pass.horizontal.places + j % window_columns : best_at;
        }
        const int row = (at.row + p) / window_rows, column = (at.column + i) / window_columns;
        if (row >= height || column >= width) continue;
        const int place = (plane * height + row) * width + column;
        out.store(place, relu ? relu_of(best) : best);
        positions.store(place, best_at);
      }
  }
};

}  // namespace wengert::cuda::WENGERT_CUDA_SIDE
