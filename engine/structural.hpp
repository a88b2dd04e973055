// The structural ops that differentiation itself needs (add, sum_to, broadcast_to, reshape, cast, fill, stop_gradient, assign), and
// what all ops' functions and descriptors share.
#pragma once

#include <vector>

#include <wengert/engine/error.hpp>
#include <wengert/engine/tape.hpp>

namespace wengert {

// a + b with NumPy broadcasting; both of one floating dtype.
Var add(const At& a, const Var& b);

// Sums x over the axes that broadcasting had added or repeated, so that the result has `shape`; the adjoint of broadcast_to.
Var sum_to(const At& x, const Shape& shape);

// Repeats x to `shape` as NumPy does. `batched`: axis 0 of the result is the batch of images though x does not carry it.
Var broadcast_to(const At& x, const Shape& shape, bool batched = false);

// The same elements in row-major order under another shape; one size may be -1: what is left.
Var reshape(const At& x, const Shape& shape);
Var reshape(const At& x, std::initializer_list<Index> shape);

// To another dtype; the gradient is cast back. Integer results have no gradient; they drop the fraction, and NaN or a value outside
// their dtype is an Error.
Var cast(const At& x, DType dtype);

// A constant of that shape on a tape. Throws Error where an integer dtype does not hold the value, or it has a fraction.
Var fill(const Tape& tape, const Shape& shape, double value, DType dtype = DType::f32);

// x as a value that gradients do not pass.
Var stop_gradient(const At& x);

// Records that the parameter's next value is `value`. On an eager tape the parameter changes at once; nodes that read it
// before keep what they read.
Var assign(const Parameter& parameter, const At& value);

// Of sum_to, broadcast_to and reshape: the result's.
struct ShapeAttributes {
  Shape shape;
  bool batched = false;
  std::string describe() const;
};

struct CastAttributes {
  DType dtype;
  std::string describe() const { return wengert::name(dtype); }
};

struct FillAttributes {
  Spec spec;
  double value;
  std::string describe() const;
};

struct AssignAttributes {
  Parameter parameter;
  std::string describe() const { return parameter.name(); }
};

// The descriptors, for catalogues.
std::vector<Op> structural_ops();

// Throws Error("[op 'name' file:line] message") for what a function refuses before an op sees it.
[[noreturn]] void fail_at(const At& at, const std::string& op, const std::string& message);

// body(), whose errors come out as fail_at() has them, with " from 'NAME'" of the value that was got: for checks that ops share and that
// do not know their caller.
template <class Body>
auto checked_at(const At& at, const std::string& op, Body&& body) {
  try {
    return body();
  } catch (const Error& error) {
    if (error.what()[0] == '[') throw;
    fail_at(at, op, error.what() + (at.var.name().empty() ? "" : " from '" + at.var.name() + "'"));
  }
}

// A naive kernel for these dtypes; none: for any.
Kernel naive_kernel(void (*run)(const KernelCall&), std::vector<DType> dtypes = {DType::f32, DType::f64});

// Shape and batch rules that elementwise ops share.
std::vector<Spec> broadcast_shape_rule(const OpQuery& query);  // any number of inputs of one floating dtype -> their broadcast
std::vector<Spec> same_shape_rule(const OpQuery& query);       // one floating input -> the same
BatchEffect elementwise_batch(const BatchQuery& query);
void want_float(const OpQuery& query, int input);  // throws Error unless the input is f32 or f64
void want_same_dtype(const OpQuery& query, int input, int other);

}  // namespace wengert
