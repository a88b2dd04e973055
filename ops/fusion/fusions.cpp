#include <wengert/ops/fusion/fusions.hpp>

#include <wengert/ops/catalogue.hpp>

namespace wengert {

const std::vector<plan::Fusion>& builtin_fusions() {
  static const std::vector<plan::Fusion> rules = [] {
    std::vector<plan::Fusion> all;
    // Winners come before the convolutions, which may only swallow a ReLU that the backward pass does not read; the gradients of weights
    // come before winners, which want to know all readers. Chains take what is left.
    for (const auto family : {cross_entropy_fusions, batch_norm_fusions, conv_gradient_fusions, winners_fusions, conv_forward_fusions,
                              linear_fusions, linear_update_fusions, elementwise_fusions}) {
      for (plan::Fusion& rule : family()) all.push_back(std::move(rule));
    }
    return all;
  }();
  return rules;
}

namespace {

void switch_off(std::vector<plan::Fusion>& rules, const std::string& name) {
  std::vector<std::string> valid = {"all"};
  bool found = false;
  for (plan::Fusion& rule : rules) {
    valid.push_back(rule.name);
    if (name != rule.name && name != "all") continue;
    rule.apply = nullptr;
    found = true;
  }
  if (!found) fail("[no-fusion] wanted the name of a fusion, got '" + name + "'" + suggestion(name, valid));
}

}  // namespace

PlanOptions plan_options(const KernelChoice& kernels, std::shared_ptr<Executor> executor, const std::vector<std::string>& without) {
  static const Catalogue catalogue = builtin_catalogue();
  PlanOptions options;
  options.catalogue = &catalogue;
  options.kernels = kernels;
  options.executor = std::move(executor);
  options.fusions = builtin_fusions();
  for (const std::string& name : without) switch_off(options.fusions, name);
  options.reorder = &reorder_op();
  return options;
}

std::vector<Op> fusion_ops() {
  std::vector<Op> all;
  for (const auto family : {conv_fusion_ops, winners_ops, linear_fusion_ops, cross_entropy_fusion_ops, batch_norm_fusion_ops,
                            elementwise_fusion_ops, layout_ops}) {
    for (Op& op : family()) all.push_back(std::move(op));
  }
  return all;
}

}  // namespace wengert
