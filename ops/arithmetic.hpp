// Arithmetic with NumPy broadcasting: operators and functions on Vars of one floating dtype.
#pragma once

#include <wengert/engine/structural.hpp>

namespace wengert {

// A C++ number beside a Var takes the Var's dtype. Operators are found for `x * tanh(x)` without a using directive.
Var operator+(const At& a, const At& b);
Var operator-(const At& a, const At& b);
Var operator*(const At& a, const At& b);
Var operator/(const At& a, const At& b);
Var operator+(const At& a, double b);
Var operator-(const At& a, double b);
Var operator*(const At& a, double b);
Var operator/(const At& a, double b);
Var operator+(double a, const At& b);
Var operator-(double a, const At& b);
Var operator*(double a, const At& b);
Var operator/(double a, const At& b);
Var operator-(const At& x);

// The named forms (add() stands in engine/structural.hpp).
Var subtract(const At& a, const Var& b);
Var multiply(const At& a, const Var& b);
Var divide(const At& a, const Var& b);
Var negate(const At& x);

// Of the op affine, which plans look into.
struct AffineAttributes {
  double scale = 1.0, shift = 0.0;
  std::string describe() const;
};
// scale * x + shift, with constants.
Var affine(const At& x, double scale, double shift = 0.0);

// Of the op power, likewise.
struct PowerAttributes {
  double exponent = 1.0;
  std::string describe() const;
};
// x to a constant power; NaN for a negative x and a power that is not whole, as std::pow has it.
Var power(const At& x, double exponent);

Var exp(const At& x);
Var log(const At& x);  // natural
Var sqrt(const At& x);

// The larger of two; NaN where either is NaN. At a tie the gradient goes to a.
Var maximum(const At& a, const Var& b);

// 1 where a >= b, else 0 (also where either is NaN), in the operands' dtype. A constant to gradients.
Var greater_equal(const At& a, const Var& b);

std::vector<Op> arithmetic_ops();

}  // namespace wengert
