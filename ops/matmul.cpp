#include <wengert/ops/matmul.hpp>

#include <algorithm>

#include <fmt/format.h>

#include <wengert/backends/direct/matmul.hpp>
#include <wengert/backends/matrix/matmul.hpp>
#include <wengert/backends/naive/matmul.hpp>
#include <wengert/engine/error.hpp>
#include <wengert/engine/structural.hpp>
#include <wengert/ops/support.hpp>

namespace wengert {

MatmulGeometry matmul_geometry(const MatmulAttributes& flags, const Shape& a, const Shape& b) {
  if (a.rank() < 2 || a.rank() > 3 || b.rank() < 2 || b.rank() > 3)
    fail("wanted operands of rank 2 or 3, got " + a.text() + " and " + b.text());
  const auto size = [](const Shape& shape, bool transposed, int axis) { return shape[shape.rank() - 2 + (transposed ? 1 - axis : axis)]; };
  MatmulGeometry g;
  g.transpose_a = flags.transpose_a;
  g.transpose_b = flags.transpose_b;
  g.shared_a = a.rank() == 2;
  g.shared_b = b.rank() == 2;
  g.rows = size(a, flags.transpose_a, 0);
  g.inner = size(a, flags.transpose_a, 1);
  g.columns = size(b, flags.transpose_b, 1);
  if (size(b, flags.transpose_b, 0) != g.inner) {
    fail(fmt::format("wanted equal inner sizes, got {} and {}: {} times {} with {}", g.inner, size(b, flags.transpose_b, 0), a.text(),
                     b.text(), flags.describe()));
  }
  if (!g.shared_a && !g.shared_b && a[0] != b[0]) fail("wanted equal batches, got " + a.text() + " and " + b.text());
  g.batch = !g.shared_a ? a[0] : !g.shared_b ? b[0] : 1;
  return g;
}

namespace {

std::vector<Var> matmul_vjp(const VjpCall& call) {
  const auto [ta, tb] = call.as<MatmulAttributes>();
  const Var& dc = call.cotangent();
  std::vector<Var> gradients(2);
  if (call.wanted(0)) {
    const Var& b = call.input(1);
    gradients[0] = ta ? matmul(b, dc, {tb, true}) : matmul(dc, b, {false, !tb});
  }
  if (call.wanted(1)) {
    const Var& a = call.input(0);
    gradients[1] = tb ? matmul(dc, a, {true, ta}) : matmul(a, dc, {!ta, false});
  }
  return gradients;
}

// Images are the rows of a plain a, the inner axis of a transposed a beside a plain b (a weight gradient), or axis 0 of rank 3.
BatchEffect matmul_batch(const BatchQuery& query) {
  const auto& flags = query.attributes.as<MatmulAttributes>();
  const Shape &a = query.shape(0), &b = query.shape(1);
  if (a.rank() == 3 || b.rank() == 3) {
    const bool a_fits = a.rank() == 3 ? query.is_batched(0) : !query.is_batched(0);
    const bool b_fits = b.rank() == 3 ? query.is_batched(1) : !query.is_batched(1);
    return a_fits && b_fits ? BatchEffect::per_image() : BatchEffect::mixes();
  }
  const bool rows = !flags.transpose_a && query.is_batched(0) && !query.is_batched(1);
  const bool sums = flags.transpose_a && !flags.transpose_b && query.is_batched(0) && query.is_batched(1);
  return rows ? BatchEffect::per_image() : sums ? BatchEffect::sums() : BatchEffect::mixes();
}

template <void (*product)(const MatmulGeometry&, const View&, const View&, const View&)>
Kernel matmul_kernel(const char* backend) {
  Kernel kernel;
  kernel.backend = backend;
  kernel.run = [](const KernelCall& call) {
    const auto g = matmul_geometry(call.attributes.as<MatmulAttributes>(), call.input(0).shape, call.input(1).shape);
    product(g, call.input(0), call.input(1), call.output(0));
  };
  return kernel;
}

// The three products of a linear layer, as backends/direct/matmul.hpp has them.
enum class Product : std::uint8_t { forward, data, weight };

Product product_of(const MatmulGeometry& g) { return g.transpose_a ? Product::weight : g.transpose_b ? Product::forward : Product::data; }

// `first` and `last` cut the rows of a weight gradient.
void direct_product(const KernelCall& call, Index first, Index last) {
  const auto g = matmul_geometry(call.attributes.as<MatmulAttributes>(), call.input(0).shape, call.input(1).shape);
  const float *a = call.input(0).read<float>(), *b = call.input(1).read<float>();
  float* const c = call.output(0).write<float>();
  switch (product_of(g)) {
    case Product::forward: return direct::linear_forward({g.rows, g.inner, g.columns}, a, b, nullptr, false, c);
    case Product::data: return direct::linear_data({g.rows, g.columns, g.inner}, a, b, nullptr, c);
    case Product::weight: return direct::linear_weight({g.inner, g.columns, g.rows}, b, a, first, last, c, nullptr);
  }
}

class PreparedProduct final : public PreparedKernel {
 public:
  PreparedProduct(Index rows, bool sliced) : rows_(rows), slice_(sliced ? slice_rows : rows) {}
  Index slices() const override { return slice_ == 0 ? 1 : (rows_ + slice_ - 1) / slice_; }
  void run(const KernelCall& call) const override {
    const Index first = call.slice * slice_;
    direct_product(call, first, std::min(rows_, first + slice_));
  }

 private:
  static constexpr Index slice_rows = 8;
  Index rows_, slice_;
};

}  // namespace

std::string slower_than_blas(Index rows, Index elements) {
  constexpr Index large = Index{1} << 18, few = 8;
  return elements > large && rows >= few ? fmt::format("OpenBLAS is faster: {} rows, a matrix of {} elements", rows, elements) : "";
}

namespace {

Kernel direct_matmul_kernel() {
  Kernel kernel;
  kernel.backend = "direct";
  kernel.dtypes = {DType::f32};
  kernel.refuse = [](const OpQuery& query) -> std::string {
    const auto g = matmul_geometry(query.attributes.as<MatmulAttributes>(), query.shape(0), query.shape(1));
    if (!g.shared_a || !g.shared_b) return "it takes no batch of matrices";
    if (g.transpose_a && g.transpose_b) return "it does not take both operands transposed";
    return {};
  };
  kernel.slower = [](const OpQuery& query) {
    const auto g = matmul_geometry(query.attributes.as<MatmulAttributes>(), query.shape(0), query.shape(1));
    const bool weight = product_of(g) == Product::weight;
    return slower_than_blas(weight ? g.inner : g.rows, (weight ? g.rows : g.inner) * g.columns);
  };
  kernel.run = [](const KernelCall& call) { direct_product(call, 0, call.output(0).shape[0]); };
  kernel.prepare = [](const PlanQuery& query) -> Preparation {
    const auto g = matmul_geometry(query.attributes.as<MatmulAttributes>(), query.shape(0), query.shape(1));
    return {std::make_unique<PreparedProduct>(g.rows, query.whole && product_of(g) == Product::weight), {}};
  };
  return kernel;
}

Op make_matmul() {
  Op op;
  op.name = "matmul";
  op.summary = "matrix product a b, with transpose flags, batched by a leading axis";
  op.min_inputs = op.max_inputs = 2;
  op.smoothness = Op::Smoothness::multilinear;
  op.broadcasts = true;  // an operand of rank 2 is shared by the batch
  op.keeps.inputs = 0b11;
  op.shapes = [](const OpQuery& query) {
    want_float(query, 0);
    want_same_dtype(query, 0, 1);
    const Shape &a = query.shape(0), &b = query.shape(1);
    const MatmulGeometry g = matmul_geometry(query.attributes.as<MatmulAttributes>(), a, b);
    const bool batched = !g.shared_a || !g.shared_b;
    return std::vector<Spec>{{batched ? Shape{g.batch, g.rows, g.columns} : Shape{g.rows, g.columns}, query.dtype(0)}};
  };
  op.vjp = matmul_vjp;
  op.batch = matmul_batch;
  op.flops = [](const OpQuery& query) {
    const auto g = matmul_geometry(query.attributes.as<MatmulAttributes>(), query.shape(0), query.shape(1));
    return 2.0 * static_cast<double>(g.batch * g.rows) * static_cast<double>(g.inner * g.columns);
  };
  op.kernels = {matmul_kernel<naive::matmul>("naive"), matmul_kernel<blas::matmul>("matrix"), direct_matmul_kernel()};
  op.sliced = true;
  op.samples = [] {
    return std::vector<Sample>{{MatmulAttributes{false, false}, {sample_images({9, 5}), sample_value({5, 4})}},
                               {MatmulAttributes{false, true}, {sample_images({16, 20}), sample_value({7, 20})}},
                               {MatmulAttributes{true, false}, {sample_images({11, 3}), sample_images({11, 6})}},
                               {MatmulAttributes{true, true}, {sample_value({3, 4}), sample_value({2, 3})}},
                               {MatmulAttributes{false, false}, {sample_images({9, 2, 3}), sample_images({9, 3, 5})}},
                               {MatmulAttributes{true, true}, {sample_images({5, 3, 2}), sample_value({4, 3})}},
                               {MatmulAttributes{false, true}, {sample_value({2, 3}), sample_images({5, 4, 3})}},
                               {MatmulAttributes{false, true}, {sample_images({0, 3}), sample_value({2, 3})}},
                               {MatmulAttributes{false, false}, {sample_value({1, 1}), sample_value({1, 1})}}};
  };
  return op;
}

const Op& matmul_op() {
  static const Op op = make_matmul();
  return op;
}

}  // namespace

std::string MatmulAttributes::describe() const { return fmt::format("a{} b{}", transpose_a ? "^T" : "", transpose_b ? "^T" : ""); }

Var matmul(const At& a, const Var& b, const MatmulOptions& options) {
  return apply(matmul_op(), MatmulAttributes{options.transpose_a, options.transpose_b}, a, {b});
}

Var linear(const At& x, const Var& w) { return matmul(x, w, {.transpose_a = false, .transpose_b = true}); }

Var linear(const At& x, const Var& w, const Var& b) { return add(x(linear(x, w)), b); }

std::vector<Op> matmul_ops() { return {matmul_op()}; }

}  // namespace wengert
