// Layers: small structs that own named parameters and declare their part of a graph when called. They only compose ops.
// Copying a layer shares its parameters; clone() does not.
#pragma once

#include <optional>
#include <string>

#include <wengert/engine/parameter.hpp>
#include <wengert/ops/activation.hpp>
#include <wengert/ops/arithmetic.hpp>
#include <wengert/ops/average_pool.hpp>
#include <wengert/ops/batch_norm.hpp>
#include <wengert/ops/conv.hpp>
#include <wengert/ops/dropout.hpp>
#include <wengert/ops/matmul.hpp>
#include <wengert/ops/max_pool.hpp>
#include <wengert/ops/shape.hpp>

namespace wengert {

enum class Activation : std::uint8_t { none, relu, tanh, sigmoid };
Var activate(Activation activation, const At& x);

// How weights start, uniform in [-bound, bound): he with the bound sqrt(6 / fan_in), which suits ReLU; glorot with sqrt(6 / (fan_in + fan_out)),
// which suits tanh and sigmoid. See engine/parameter.hpp.
enum class WeightInit : std::uint8_t { he, glorot };

// x (N,in,H,W) -> (N,out,OH,OW). Parameters NAME.weight (out,in/groups,size) and NAME.bias (out), 0.
class Conv2d {
 public:
  struct Options {
    Index in = 1, out = 1;  // channels and filters
    Extent2d size = 3;
    Extent2d stride = 1, dilation = 1;
    Padding2d padding = {};
    Index groups = 1;
    bool bias = true;
    Activation activation = Activation::none;
    WeightInit init = WeightInit::he;
  };
  Conv2d(std::string name, const Options& options);
  Var operator()(const At& x) const;
  Conv2d clone() const;

  Parameter weight;
  std::optional<Parameter> bias;

 private:
  std::string name_;
  Options options_;
};

// x (N,in) -> (N,out). Parameters NAME.weight (out,in) and NAME.bias (out), 0.
class Linear {
 public:
  struct Options {
    Index in = 1, out = 1;
    bool bias = true;
    Activation activation = Activation::none;
    WeightInit init = WeightInit::he;
  };
  Linear(std::string name, const Options& options);
  Var operator()(const At& x) const;
  Linear clone() const;

  Parameter weight;
  std::optional<Parameter> bias;

 private:
  std::string name_;
  Options options_;
};

// x (N,C,H,W) -> (N,C,OH,OW): the maximum of each window.
class MaxPool2d {
 public:
  using Options = Pool2dOptions;
  MaxPool2d(std::string name, const Options& options) : name_(std::move(name)), options_(options) {}
  Var operator()(const At& x) const { return max_pool2d(x.named(name_), options_); }

 private:
  std::string name_;
  Options options_;
};

// x (N,C,H,W) -> (N,C,OH,OW): the mean of each window.
class AveragePool2d {
 public:
  using Options = Pool2dOptions;
  AveragePool2d(std::string name, const Options& options) : name_(std::move(name)), options_(options) {}
  Var operator()(const At& x) const { return average_pool2d(x.named(name_), options_); }

 private:
  std::string name_;
  Options options_;
};

// x (N,...) -> (N,features).
class Flatten {
 public:
  explicit Flatten(std::string name = "flatten") : name_(std::move(name)) {}
  Var operator()(const At& x) const { return flatten(x.named(name_)); }

 private:
  std::string name_;
};

// x (N,C,...) normalised for each channel: by the batch in training (and the running statistics follow), by them in evaluation.
// Parameters NAME.gamma, NAME.beta (C); state NAME.mean, NAME.variance (C).
class BatchNorm {
 public:
  struct Options {
    Index channels = 1;
    double epsilon = 1e-5;
    double momentum = 0.9;  // running = momentum running + (1 - momentum) batch
  };
  BatchNorm(std::string name, const Options& options);
  Var operator()(const At& x) const;
  BatchNorm clone() const;

  Parameter gamma, beta, mean, variance;

 private:
  std::string name_;
  Options options_;
};

// In training each element is 0 with probability `rate`, the others scaled by 1 / (1 - rate); else the identity.
class Dropout {
 public:
  struct Options {
    double rate = 0.5;
  };
  Dropout(std::string name, const Options& options);
  Var operator()(const At& x) const { return dropout(x.named(name_), options_.rate, name_); }

 private:
  std::string name_;
  Options options_;
};

}  // namespace wengert
