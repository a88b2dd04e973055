// The cases of reference.json (values and gradients by PyTorch), the formula of their inputs, and the comparison.
#pragma once

#include <map>
#include <string>
#include <vector>

#include <wengert/engine/tensor.hpp>

// One line of the file: named attributes and named arrays of expected numbers. The accessors throw where a name is not there.
class ReferenceCase {
 public:
  std::string kind;
  int number = 0;                                     // among the cases of its kind
  std::map<std::string, std::string> attributes;      // as JSON text
  std::map<std::string, std::vector<double>> arrays;  // row-major

  std::string name() const { return kind + "/" + std::to_string(number); }  // "conv2d/17", what WENGERT_CASE takes
  wengert::Index integer(const std::string& attribute) const;
  double real(const std::string& attribute) const;
  bool flag(const std::string& attribute) const;
  std::string text(const std::string& attribute) const;
  std::vector<wengert::Index> integers(const std::string& attribute) const;
  wengert::Shape shape(const std::string& attribute) const;
  std::string describe() const;  // all attributes, for messages
};

// The cases of a kind, in file order; the one case alone where the environment has WENGERT_CASE=kind/number.
std::vector<ReferenceCase> reference_cases(const std::string& kind);

// The number of elements `index` of the input with that salt: ((i + 1 + 613 salt)^3 mod 2003 - 1001) / 512, exact in f32.
double reference_value(wengert::Index index, wengert::Index salt);

// An input tensor: scale * value, or |value| + 0.5 where positive.
struct ReferenceFill {
  wengert::Index salt = 0;
  double scale = 1.0;
  bool positive = false;
};
wengert::Tensor reference_tensor(const wengert::Shape& shape, wengert::DType dtype, const ReferenceFill& fill);

// How far a result may be from the reference: (terms + 4) * eps(dtype) * max(1, largest |expected|) * conditioning, with
// terms the length of the longest sum behind an element. Any order of summation stays within it on inputs of size 1.
struct ReferenceBound {
  double terms = 1.0;
  double conditioning = 1.0;
};

// Empty where `got` agrees with the case's array, else the first bad index with both numbers and the bound.
std::string reference_mismatch(const ReferenceCase& reference, const std::string& array, const wengert::Tensor& got,
                               const ReferenceBound& bound);
