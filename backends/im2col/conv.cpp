#include <wengert/backends/im2col/conv.hpp>

#include <algorithm>

#include <wengert/backends/blas.hpp>
#include <wengert/backends/filters.hpp>
#include <wengert/backends/operands.hpp>
#include <wengert/backends/taps.hpp>

namespace wengert::im2col {
namespace {

// The unrolled matrix of one group of one image: a row (c,s) is a plane of `phases` blocks of `phase_rows` rows of out_width
// pixels. Padded input row h stands in block h % stride, at h / stride.
struct Scheme {
  explicit Scheme(const ConvGeometry& geometry)
      : g(geometry),
        phases(g.stride_height),
        phase_rows((vertical(g).reach() + phases - 1) / phases),
        plane(phases * phase_rows * g.out_width),
        patches(g.group_channels() * g.kernel_width),
        pixels(g.out_height * g.out_width),
        in_place(g.kernel_width == 1 && g.stride_height == 1 && g.stride_width == 1 && g.pad_top == 0 && g.pad_left == 0 &&
                 g.out_width == g.width && vertical(g).reach() == g.height) {}

  const ConvGeometry& g;
  Index phases, phase_rows;
  Index plane;    // elements in a row of the matrix
  Index patches;  // rows of the matrix: channels times tap columns
  Index pixels;   // of y
  bool in_place;  // x is that matrix already

  // Where the window of filter row r starts.
  Index window(Index r) const {
    const Index row = r * g.dilation_height;
    return (row % phases * phase_rows + row / phases) * g.out_width;
  }
  bool phase_is_read(Index phase) const {
    for (Index r = 0; r < std::min(g.kernel_height, phases); ++r)
      if (r * g.dilation_height % phases == phase) return true;
    return false;
  }
  // The rows of a block that hold rows of x, not padding, each with its row of x.
  Meetings rows_of(Index phase) const {
    const Index rows = (vertical(g).reach() - phase + phases - 1) / phases;
    return outputs_of_tap({.in = g.height, .kernel = phases, .out = rows, .stride = phases, .dilation = 1, .pad = g.pad_top}, phase);
  }
  Index matrix_elements() const { return in_place ? 0 : patches * plane; }
};

template <class T>
struct Workspace {
  Workspace(const Scheme& scheme, void* memory)
      : filters(static_cast<T*>(memory)), matrix(filters + aligned_elements(filter_elements(scheme.g))) {}
  T *filters, *matrix;
};

// body(matrix rows, channel in the group, first padded input row, the pixels that meet) for every block of every plane that a
// window reads: matrix rows are an element offset; the rows of a block lie `phases` input rows apart.
template <class Body>
void for_each_block(const Scheme& scheme, const Body& body) {
  const ConvGeometry& g = scheme.g;
  for (Index c = 0; c < g.group_channels(); ++c)
    for (Index s = 0; s < g.kernel_width; ++s) {
      const Meetings columns = outputs_of_tap(horizontal(g), s);
      for (Index phase = 0; phase < scheme.phases; ++phase)
        if (scheme.phase_is_read(phase))
          body((c * g.kernel_width + s) * scheme.plane + phase * scheme.phase_rows * g.out_width, c, phase, columns);
    }
}

template <class T>
const T* unroll(const Scheme& scheme, const T* x, T* matrix) {
  if (scheme.in_place) return x;
  const ConvGeometry& g = scheme.g;
  for_each_block(scheme, [&](Index block, Index c, Index phase, const Meetings& columns) {
    const Meetings rows = scheme.rows_of(phase);
    if (rows.count < scheme.phase_rows || columns.count < g.out_width) std::fill_n(matrix + block, scheme.phase_rows * g.out_width, T{0});
    for (Index i = 0; i < rows.count; ++i) {
      T* const __restrict to = matrix + block + (rows.first + i) * g.out_width + columns.first;
      const T* const __restrict from = x + (c * g.height + rows.partner + i * rows.partner_step) * g.width + columns.partner;
      if (columns.partner_step == 1)
        for (Index j = 0; j < columns.count; ++j) to[j] = from[j];
      else
        for (Index j = 0; j < columns.count; ++j) to[j] = from[j * columns.partner_step];
    }
  });
  return matrix;
}

// Adds the matrix to the group's part of x.
template <class T>
void roll_up(const Scheme& scheme, const T* matrix, T* x) {
  const ConvGeometry& g = scheme.g;
  for_each_block(scheme, [&](Index block, Index c, Index phase, const Meetings& columns) {
    const Meetings rows = scheme.rows_of(phase);
    for (Index i = 0; i < rows.count; ++i) {
      const T* const __restrict from = matrix + block + (rows.first + i) * g.out_width + columns.first;
      T* const __restrict to = x + (c * g.height + rows.partner + i * rows.partner_step) * g.width + columns.partner;
      if (columns.partner_step == 1)
        for (Index j = 0; j < columns.count; ++j) to[j] += from[j];
      else
        for (Index j = 0; j < columns.count; ++j) to[j * columns.partner_step] += from[j];
    }
  });
}

// body(x, y, packed filters of filter row 0) for every group of every image, each argument an element offset.
template <class Body>
void for_each_group(const Scheme& scheme, Index batch, const Body& body) {
  const ConvGeometry& g = scheme.g;
  for (Index n = 0; n < batch; ++n)
    for (Index group = 0; group < g.groups; ++group)
      body((n * g.channels + group * g.group_channels()) * g.height * g.width, (n * g.filters + group * g.group_filters()) * scheme.pixels,
           group * g.group_filters() * scheme.patches);
}

// With one filter row the packed order is the order of w.
template <class T>
const T* packed_filters(const ConvGeometry& g, const T* w, T* packed) {
  if (g.kernel_height == 1) return w;
  pack_filters(g, g.kernel_width, w, packed);
  return packed;
}

template <class T>
void forward(const Scheme& scheme, Index batch, const T* x, const T* w, T* y, void* memory) {
  const Workspace<T> workspace(scheme, memory);
  const ConvGeometry& g = scheme.g;
  const blas::SingleThread blas;
  const T* const filters = packed_filters(g, w, workspace.filters);
  for_each_group(scheme, batch, [&](Index x_first, Index y_first, Index filter) {
    const T* const matrix = unroll(scheme, x + x_first, workspace.matrix);
    for (Index r = 0; r < g.kernel_height; ++r)
      blas.gemm({.rows = g.group_filters(), .inner = scheme.patches, .columns = scheme.pixels, .b_pitch = scheme.plane}, T{1},
                filters + filter + r * g.filters * scheme.patches, matrix + scheme.window(r), T(r > 0), y + y_first);
  });
}

template <class T>
void data(const Scheme& scheme, Index batch, const T* y, const T* w, T* x, void* memory) {
  const Workspace<T> workspace(scheme, memory);
  const ConvGeometry& g = scheme.g;
  const blas::SingleThread blas;
  const T* const filters = packed_filters(g, w, workspace.filters);
  for_each_group(scheme, batch, [&](Index x_first, Index y_first, Index filter) {
    T* const matrix = scheme.in_place ? x + x_first : workspace.matrix;
    // The first window is overwritten and the others add to it, so only what lies beyond it starts from zero.
    for (Index row = 0; row < scheme.patches; ++row)
      std::fill(matrix + row * scheme.plane + scheme.pixels, matrix + (row + 1) * scheme.plane, T{0});
    for (Index r = 0; r < g.kernel_height; ++r)
      blas.gemm(
          {.rows = scheme.patches, .inner = g.group_filters(), .columns = scheme.pixels, .transpose_a = true, .c_pitch = scheme.plane},
          T{1}, filters + filter + r * g.filters * scheme.patches, y + y_first, T(r > 0), matrix + scheme.window(r));
    if (scheme.in_place) return;
    std::fill_n(x + x_first, g.group_channels() * g.height * g.width, T{0});
    roll_up(scheme, matrix, x + x_first);
  });
}

template <class T>
void weight(const Scheme& scheme, Index batch, const T* x, const T* y, T* w, void* memory) {
  const Workspace<T> workspace(scheme, memory);
  const ConvGeometry& g = scheme.g;
  const blas::SingleThread blas;
  T* const filters = g.kernel_height == 1 ? w : workspace.filters;
  std::fill_n(filters, filter_elements(g), T{0});
  for_each_group(scheme, batch, [&](Index x_first, Index y_first, Index filter) {
    const T* const matrix = unroll(scheme, x + x_first, workspace.matrix);
    for (Index r = 0; r < g.kernel_height; ++r)
      blas.gemm(
          {.rows = g.group_filters(), .inner = scheme.pixels, .columns = scheme.patches, .transpose_b = true, .b_pitch = scheme.plane},
          T{1}, y + y_first, matrix + scheme.window(r), T{1}, filters + filter + r * g.filters * scheme.patches);
  });
  if (filters != w) unpack_filters(g, g.kernel_width, filters, w);
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
  const Index matrix = batch == 0 ? 0 : Scheme(g).matrix_elements();
  return (aligned_elements(filter_elements(g)) + matrix) * size_of(dtype);
}

}  // namespace wengert::im2col
