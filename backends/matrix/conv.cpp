#include <wengert/backends/matrix/conv.hpp>

#include <algorithm>

#include <wengert/backends/blas.hpp>
#include <wengert/backends/filters.hpp>
#include <wengert/backends/operands.hpp>
#include <wengert/backends/taps.hpp>

namespace wengert::matrix {
namespace {

// How the products see one group of one image.
struct Scheme {
  explicit Scheme(const ConvGeometry& geometry)
      : g(geometry),
        shifted(g.stride_height == 1 && g.stride_width == 1),
        padded(shifted && (g.pad_top != 0 || g.pad_left != 0 || vertical(g).reach() > g.height || horizontal(g).reach() > g.width)),
        x_width(padded ? horizontal(g).reach() : g.width),
        x_plane(padded ? vertical(g).reach() * x_width : g.height * g.width),
        y_width(shifted ? x_width : g.out_width),
        y_plane(g.out_height * y_width),
        pixels(g.out_height == 0 ? 0 : (g.out_height - 1) * y_width + g.out_width) {}

  const ConvGeometry& g;
  bool shifted;            // the products read x at an offset, instead of a gathered tap
  bool padded;             // ... of a padded copy
  Index x_width, x_plane;  // of the planes that the products read
  Index y_width, y_plane;  // of the planes that they write: rows of y as far apart as those of x
  Index pixels;            // columns of a product

  bool y_is_dense() const { return y_width == g.out_width; }
  Index offset(Index r, Index s) const { return r * g.dilation_height * x_width + s * g.dilation_width; }
  // The input of the products in the workspace: a padded copy or one gathered tap.
  Index input_elements() const { return padded ? g.group_channels() * x_plane : shifted ? 0 : g.group_channels() * y_plane; }
  Index output_elements() const { return y_is_dense() ? 0 : g.group_filters() * y_plane; }
};

template <class T>
struct Workspace {
  Workspace(const Scheme& scheme, void* memory)
      : filters(static_cast<T*>(memory)),
        input(filters + aligned_elements(filter_elements(scheme.g))),
        output(input + aligned_elements(scheme.input_elements())) {}
  T *filters, *input, *output;
};

// Copies rows from one pitch to another. Where `to` is wider, the columns between are zeroed; it is never narrower than a row.
template <class T>
void copy_planes(Index rows, Index width, const T* from, Index from_width, T* to, Index to_width) {
  for (Index row = 0; row < rows; ++row) {
    std::copy_n(from + row * from_width, width, to + row * to_width);
    std::fill(to + row * to_width + width, to + (row + 1) * to_width, T{0});
  }
}

// body(first element of a row of x, first element of that row in the padded copy, length) over one group of an image.
template <class Body>
void for_each_padded_row(const Scheme& scheme, const Body& body) {
  const ConvGeometry& g = scheme.g;
  const Index rows = std::min(g.height, vertical(g).reach() - g.pad_top), length = std::min(g.width, scheme.x_width - g.pad_left);
  for (Index c = 0; c < g.group_channels(); ++c)
    for (Index h = 0; h < rows; ++h)
      body((c * g.height + h) * g.width, c * scheme.x_plane + (h + g.pad_top) * scheme.x_width + g.pad_left, length);
}

// body(element of x, element of the gathered tap) for the pixels of one group of an image that tap (r,s) reads.
template <class Body>
void for_each_pixel_of_tap(const ConvGeometry& g, Index r, Index s, const Body& body) {
  const Meetings rows = outputs_of_tap(vertical(g), r), columns = outputs_of_tap(horizontal(g), s);
  for (Index c = 0; c < g.group_channels(); ++c)
    for (Index i = 0; i < rows.count; ++i) {
      const Index x_row = (c * g.height + rows.partner + i * rows.partner_step) * g.width + columns.partner;
      const Index tap_row = (c * g.out_height + rows.first + i) * g.out_width + columns.first;
      for (Index j = 0; j < columns.count; ++j) body(x_row + j * columns.partner_step, tap_row + j);
    }
}

// What the products of this group read: x itself or its padded copy. A gathered tap is made later, tap by tap.
template <class T>
const T* shifted_input(const Scheme& scheme, const T* x, T* copy) {
  if (!scheme.padded) return x;
  std::fill_n(copy, scheme.input_elements(), T{0});
  for_each_padded_row(scheme, [&](Index row, Index copied, Index length) { std::copy_n(x + row, length, copy + copied); });
  return copy;
}

template <class T>
void gather_tap(const ConvGeometry& g, Index r, Index s, const T* x, T* tap) {
  std::fill_n(tap, g.group_channels() * g.out_height * g.out_width, T{0});
  for_each_pixel_of_tap(g, r, s, [&](Index from, Index to) { tap[to] = x[from]; });
}

// y of this group with the row pitch of the products.
template <class T>
const T* pitched_output(const Scheme& scheme, const T* y, T* copy) {
  if (scheme.y_is_dense()) return y;
  copy_planes(scheme.g.group_filters() * scheme.g.out_height, scheme.g.out_width, y, scheme.g.out_width, copy, scheme.y_width);
  return copy;
}

// body(x, y, packed filters of the first tap) for every group of every image, each argument an element offset.
template <class Body>
void for_each_group(const ConvGeometry& g, Index batch, const Body& body) {
  for (Index n = 0; n < batch; ++n)
    for (Index group = 0; group < g.groups; ++group)
      body((n * g.channels + group * g.group_channels()) * g.height * g.width,
           (n * g.filters + group * g.group_filters()) * g.out_height * g.out_width, group * g.group_filters() * g.group_channels());
}

template <class T>
void forward(const Scheme& scheme, Index batch, const T* x, const T* w, T* y, void* memory) {
  const Workspace<T> workspace(scheme, memory);
  const ConvGeometry& g = scheme.g;
  const blas::SingleThread blas;
  pack_filters(g, 1, w, workspace.filters);
  for_each_group(g, batch, [&](Index x_first, Index y_first, Index filter) {
    const T* const input = scheme.shifted ? shifted_input(scheme, x + x_first, workspace.input) : workspace.input;
    T* const output = scheme.y_is_dense() ? y + y_first : workspace.output;
    for (Index r = 0; r < g.kernel_height; ++r)
      for (Index s = 0; s < g.kernel_width; ++s, filter += g.filters * g.group_channels()) {
        if (!scheme.shifted) gather_tap(g, r, s, x + x_first, workspace.input);
        blas.gemm({.rows = g.group_filters(),
                   .inner = g.group_channels(),
                   .columns = scheme.pixels,
                   .b_pitch = scheme.shifted ? scheme.x_plane : scheme.y_plane,
                   .c_pitch = scheme.y_plane},
                  T{1}, workspace.filters + filter, scheme.shifted ? input + scheme.offset(r, s) : input, T(r + s > 0), output);
      }
    if (!scheme.y_is_dense())
      copy_planes(g.group_filters() * g.out_height, g.out_width, workspace.output, scheme.y_width, y + y_first, g.out_width);
  });
}

template <class T>
void data(const Scheme& scheme, Index batch, const T* y, const T* w, T* x, void* memory) {
  const Workspace<T> workspace(scheme, memory);
  const ConvGeometry& g = scheme.g;
  const blas::SingleThread blas;
  pack_filters(g, 1, w, workspace.filters);
  std::fill_n(x, batch * g.channels * g.height * g.width, T{0});
  for_each_group(g, batch, [&](Index x_first, Index y_first, Index filter) {
    const T* const output = pitched_output(scheme, y + y_first, workspace.output);
    T* const input = scheme.shifted && !scheme.padded ? x + x_first : workspace.input;
    if (scheme.padded) std::fill_n(input, scheme.input_elements(), T{0});
    for (Index r = 0; r < g.kernel_height; ++r)
      for (Index s = 0; s < g.kernel_width; ++s, filter += g.filters * g.group_channels()) {
        blas.gemm({.rows = g.group_channels(),
                   .inner = g.group_filters(),
                   .columns = scheme.pixels,
                   .transpose_a = true,
                   .b_pitch = scheme.y_plane,
                   .c_pitch = scheme.shifted ? scheme.x_plane : scheme.y_plane},
                  T{1}, workspace.filters + filter, output, T(scheme.shifted), scheme.shifted ? input + scheme.offset(r, s) : input);
        if (!scheme.shifted) for_each_pixel_of_tap(g, r, s, [&](Index to, Index from) { x[x_first + to] += input[from]; });
      }
    if (scheme.padded)
      for_each_padded_row(scheme, [&](Index row, Index copied, Index length) { std::copy_n(input + copied, length, x + x_first + row); });
  });
}

template <class T>
void weight(const Scheme& scheme, Index batch, const T* x, const T* y, T* w, void* memory) {
  const Workspace<T> workspace(scheme, memory);
  const ConvGeometry& g = scheme.g;
  const blas::SingleThread blas;
  std::fill_n(workspace.filters, filter_elements(g), T{0});
  for_each_group(g, batch, [&](Index x_first, Index y_first, Index filter) {
    const T* const output = pitched_output(scheme, y + y_first, workspace.output);
    const T* const input = scheme.shifted ? shifted_input(scheme, x + x_first, workspace.input) : workspace.input;
    for (Index r = 0; r < g.kernel_height; ++r)
      for (Index s = 0; s < g.kernel_width; ++s, filter += g.filters * g.group_channels()) {
        if (!scheme.shifted) gather_tap(g, r, s, x + x_first, workspace.input);
        blas.gemm({.rows = g.group_filters(),
                   .inner = scheme.pixels,
                   .columns = g.group_channels(),
                   .transpose_b = true,
                   .a_pitch = scheme.y_plane,
                   .b_pitch = scheme.shifted ? scheme.x_plane : scheme.y_plane},
                  T{1}, output, scheme.shifted ? input + scheme.offset(r, s) : input, T{1}, workspace.filters + filter);
      }
  });
  unpack_filters(g, 1, workspace.filters, w);
}

}  // namespace

void conv2d(const ConvGeometry& g, const View& x, const View& w, const View& y, void* workspace) {
  with_operands(x, w, y, [&](auto... operands) { forward(Scheme(g), operands..., workspace); });
}

void conv2d_data(const ConvGeometry& g, const View& y, const View& w, const View& x, void* workspace) {
  with_operands(y, w, x, [&](auto... operands) { data(Scheme(g), operands..., workspace); });
}

void conv2d_weight(const ConvGeometry& g, const View& x, const View& y, const View& w, void* workspace) {
  with_operands(x, y, w, [&](auto... operands) { weight(Scheme(g), operands..., workspace); });
}

Index conv2d_workspace(const ConvGeometry& g, Index batch, DType dtype) {
  if (batch == 0) return aligned_elements(filter_elements(g)) * size_of(dtype);
  const Scheme scheme(g);
  return (aligned_elements(filter_elements(g)) + aligned_elements(scheme.input_elements()) + scheme.output_elements()) * size_of(dtype);
}

}  // namespace wengert::matrix
