// The checks that call kernels directly.
#include "table.hpp"

#include <cmath>

#include <fmt/format.h>

#include "table_case.hpp"

namespace wengert::test {

namespace {

std::vector<Tensor> magnitudes(const std::vector<Tensor>& tensors) {
  std::vector<Tensor> result;
  for (const Tensor& tensor : tensors) {
    Tensor positive = tensor.cast(tensor.dtype());
    if (is_float(tensor.dtype())) {
      visit_float(tensor.dtype(), [&](auto zero) {
        using T = decltype(zero);
        T* const values = positive.mutable_view().write<T>();
        for (Index i = 0; i < positive.elements(); ++i) values[i] = std::abs(values[i]);
      });
    }
    result.push_back(positive);
  }
  return result;
}

}  // namespace

TableResult check_values(const Catalogue& catalogue) {
  const auto body = [](const Case& at, Failures& failures) {
    const Kernel& naive = at.op.kernels.front();
    const std::vector<Tensor> wide = cast_all(at.inputs, DType::f64);
    const std::vector<Tensor> wanted = call_directly(at, naive, wide).outputs;
    const std::vector<Tensor> sizes = at.multilinear() ? call_directly(at, naive, magnitudes(wide)).outputs : std::vector<Tensor>();
    failures.add(at, differ(call_directly(at, at.kernel, at.inputs).outputs, wanted, rounding_factor(at, 4), sizes));
  };
  TableResult result = for_each_case(catalogue, body).take();
  const auto exact = [](const Case& at, Failures& failures) {
    if (!at.multilinear() || !at.kernel.exact) return;
    const std::vector<Tensor> wanted = call_directly(at, at.op.kernels.front(), cast_all(at.inputs, DType::f64)).outputs;
    if (all_integers(wanted)) failures.add(at, differ(call_directly(at, at.kernel, at.inputs).outputs, wanted, 0));
  };
  TableResult on_integers = for_each_case(catalogue, exact, true).take();
  for (std::string& failure : on_integers.failures) result.failures.push_back("on integers: " + failure);
  return result;
}

TableResult check_batch_rule(const Catalogue& catalogue) {
  return for_each_case(catalogue,
                       [](const Case& at, Failures& failures) {
                         const Index batch = at.batch();
                         if (batch < 2) return;
                         if (const std::string wrong = contradiction(at); !wrong.empty()) return failures.add(at, wrong);
                         const BatchEffect effect = at.effect();
                         if (effect.kind == BatchEffect::Kind::mixes) return;
                         const std::vector<Tensor> whole = call_directly(at, at.kernel, at.inputs).outputs;
                         const Index half = batch / 2;
                         const std::vector<Tensor> first = call_directly(at, at.kernel, at.inputs, 0, half).outputs;
                         const std::vector<Tensor> second = call_directly(at, at.kernel, at.inputs, half, batch - half).outputs;
                         std::vector<Tensor> joined;
                         for (std::size_t o = 0; o < whole.size(); ++o) {
                           std::vector<double> values;
                           if (effect.kind == BatchEffect::Kind::sums) {
                             for (Index i = 0; i < first[o].elements(); ++i) values.push_back(first[o].at(i) + second[o].at(i));
                           } else {
                             for (const Tensor* part : {&first[o], &second[o]}) {
                               for (Index i = 0; i < part->elements(); ++i) values.push_back(part->at(i));
                             }
                           }
                           joined.push_back(Tensor::copy(values.data(), whole[o].shape()).cast(whole[o].dtype()));
                         }
                         failures.add(at, differ(joined, whole, rounding_factor(at, 4)));
                       })
      .take();
}

TableResult check_non_finite(const Catalogue& catalogue) {
  return for_each_case(catalogue,
                       [](const Case& at, Failures& failures) {
                         for (std::size_t i = 0; i < at.inputs.size(); ++i) {
                           const Index count = at.inputs[i].elements();
                           if (!is_float(at.inputs[i].dtype()) || count == 0) continue;
                           for (const double strange : {std::nan(""), HUGE_VAL, -HUGE_VAL}) {
                             const Index place = count == 1 ? 0 : (count * 2) / 3;
                             std::vector<Tensor> inputs = at.inputs;
                             inputs[i] = inputs[i].cast(inputs[i].dtype());
                             visit_float(inputs[i].dtype(), [&](auto zero) {
                               using T = decltype(zero);
                               inputs[i].mutable_view().write<T>()[place] = static_cast<T>(strange);
                             });
                             const std::vector<Tensor> wanted = call_directly(at, at.op.kernels.front(), inputs).outputs;
                             const std::vector<Tensor> got = call_directly(at, at.kernel, inputs).outputs;
                             for (std::size_t o = 0; o < got.size(); ++o) {
                               for (Index e = 0; e < got[o].elements(); ++e) {
                                 const double a = got[o].at(e), b = wanted[o].at(e);
                                 // A kernel that pads with zeros may make a NaN of 0 times infinity, so sums of products only must not lose one.
                                 const bool same_kind = std::isnan(a) == std::isnan(b) && (std::isnan(a) || std::isinf(a) == std::isinf(b));
                                 const bool products =
                                     at.multilinear() || at.op.name.rfind("conv2d", 0) == 0;  // fused convolutions pad too
                                 // A fused op may take its terms in another order, and so make a NaN of what was infinite.
                                 const bool reordered = at.op.stops_gradient && !std::isfinite(a) && !std::isfinite(b);
                                 const bool agree = products ? std::isfinite(b) || !std::isfinite(a) : same_kind || reordered;
                                 if (agree) continue;
                                 failures.add(at, fmt::format("{} at index {} of input {}: output {} at index {} is {}, naive has {}",
                                                              strange, place, i, o, e, a, b));
                                 return;
                               }
                             }
                           }
                         }
                       })
      .take();
}

TableResult check_sentinels(const Catalogue& catalogue) {
  return for_each_case(catalogue,
                       [](const Case& at, Failures& failures) {
                         const auto intact = [&](const DirectCall& call) {
                           if (!call.damage.empty()) failures.add(at, call.damage);
                         };
                         intact(call_directly(at, at.kernel, at.inputs));
                         const Index batch = at.batch();
                         if (batch < 2 || at.effect().kind == BatchEffect::Kind::mixes || !contradiction(at).empty()) return;
                         intact(call_directly(at, at.kernel, at.inputs, 1, batch - 1));
                         intact(call_directly(at, at.kernel, at.inputs, batch - 1, 1));
                       })
      .take();
}

TableResult check_empty_batch(const Catalogue& catalogue) {
  return for_each_case(catalogue,
                       [](const Case& at, Failures& failures) {
                         if (at.batch() < 0 || at.effect().kind == BatchEffect::Kind::mixes || !contradiction(at).empty()) return;
                         const DirectCall call = call_directly(at, at.kernel, at.inputs, 0, 0);
                         if (!call.damage.empty()) failures.add(at, call.damage);
                         if (at.effect().kind != BatchEffect::Kind::sums) return;
                         for (const Tensor& output : call.outputs) {
                           for (Index i = 0; i < output.elements(); ++i) {
                             if (output.at(i) != 0)
                               return failures.add(at, fmt::format("a sum over no images is {} at index {}", output.at(i), i));
                           }
                         }
                       })
      .take();
}

std::vector<NamedCheck> all_checks() {
  return {{"values", check_values},          {"gradients", check_gradients},
          {"slopes", check_slopes},          {"second order", check_second_order},
          {"adjoint", check_adjoint},        {"batch rule", check_batch_rule},
          {"executor", check_executor},      {"non-finite", check_non_finite},
          {"refusals", check_refusals},      {"sentinels", check_sentinels},
          {"empty batch", check_empty_batch}};
}

}  // namespace wengert::test
