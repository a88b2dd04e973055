#include <wengert/backends/naive/conv.hpp>

#include <wengert/backends/operands.hpp>
#include <wengert/backends/taps.hpp>

namespace wengert::naive {
namespace {

template <class T>
void forward(const ConvGeometry& g, Index batch, const T* x, const T* w, T* y) {
  const Index plane = g.height * g.width, filter = g.kernel_height * g.kernel_width;
  const Index group_channels = g.group_channels(), group_filters = g.group_filters();
  for (Index n = 0; n < batch; ++n)
    for (Index k = 0; k < g.filters; ++k) {
      const T* const x_group = x + (n * g.channels + k / group_filters * group_channels) * plane;
      const T* const w_filter = w + k * group_channels * filter;
      for (Index oh = 0; oh < g.out_height; ++oh) {
        const Meetings rows = taps_of_output(vertical(g), oh);
        for (Index ow = 0; ow < g.out_width; ++ow) {
          const Meetings columns = taps_of_output(horizontal(g), ow);
          T sum = 0;
          for (Index c = 0; c < group_channels; ++c)
            for (Index i = 0; i < rows.count; ++i) {
              const T* const x_row = x_group + c * plane + (rows.partner + i * rows.partner_step) * g.width + columns.partner;
              const T* const w_row = w_filter + c * filter + (rows.first + i) * g.kernel_width + columns.first;
              for (Index j = 0; j < columns.count; ++j) sum += x_row[j * columns.partner_step] * w_row[j];
            }
          *y++ = sum;
        }
      }
    }
}

template <class T>
void data(const ConvGeometry& g, Index batch, const T* y, const T* w, T* x) {
  const Index plane = g.out_height * g.out_width, filter = g.kernel_height * g.kernel_width;
  const Index group_channels = g.group_channels(), group_filters = g.group_filters();
  for (Index n = 0; n < batch; ++n)
    for (Index c = 0; c < g.channels; ++c) {
      const Index first_filter = c / group_channels * group_filters;
      const T* const y_group = y + (n * g.filters + first_filter) * plane;
      const T* const w_group = w + (first_filter * group_channels + c % group_channels) * filter;
      for (Index h = 0; h < g.height; ++h) {
        const Meetings rows = taps_of_input(vertical(g), h);
        for (Index v = 0; v < g.width; ++v) {
          const Meetings columns = taps_of_input(horizontal(g), v);
          T sum = 0;
          for (Index k = 0; k < group_filters; ++k)
            for (Index i = 0; i < rows.count; ++i) {
              const T* const y_row = y_group + k * plane + (rows.partner + i * rows.partner_step) * g.out_width + columns.partner;
              const T* const w_row = w_group + k * group_channels * filter + (rows.first + i * rows.step) * g.kernel_width + columns.first;
              for (Index j = 0; j < columns.count; ++j) sum += y_row[j * columns.partner_step] * w_row[j * columns.step];
            }
          *x++ = sum;
        }
      }
    }
}

template <class T>
void weight(const ConvGeometry& g, Index batch, const T* x, const T* y, T* w) {
  const Index x_plane = g.height * g.width, y_plane = g.out_height * g.out_width;
  const Index group_channels = g.group_channels(), group_filters = g.group_filters();
  for (Index k = 0; k < g.filters; ++k)
    for (Index c = 0; c < group_channels; ++c) {
      const Index channel = k / group_filters * group_channels + c;
      for (Index r = 0; r < g.kernel_height; ++r) {
        const Meetings rows = outputs_of_tap(vertical(g), r);
        for (Index s = 0; s < g.kernel_width; ++s) {
          const Meetings columns = outputs_of_tap(horizontal(g), s);
          T sum = 0;
          for (Index n = 0; n < batch; ++n)
            for (Index i = 0; i < rows.count; ++i) {
              const T* const x_row =
                  x + (n * g.channels + channel) * x_plane + (rows.partner + i * rows.partner_step) * g.width + columns.partner;
              const T* const y_row = y + (n * g.filters + k) * y_plane + (rows.first + i) * g.out_width + columns.first;
              for (Index j = 0; j < columns.count; ++j) sum += x_row[j * columns.partner_step] * y_row[j];
            }
          *w++ = sum;
        }
      }
    }
}

}  // namespace

void conv2d(const ConvGeometry& g, const View& x, const View& w, const View& y) {
  with_operands(x, w, y, [&](auto... operands) { forward(g, operands...); });
}

void conv2d_data(const ConvGeometry& g, const View& y, const View& w, const View& x) {
  with_operands(y, w, x, [&](auto... operands) { data(g, operands...); });
}

void conv2d_weight(const ConvGeometry& g, const View& x, const View& y, const View& w) {
  with_operands(x, y, w, [&](auto... operands) { weight(g, operands...); });
}

}  // namespace wengert::naive
