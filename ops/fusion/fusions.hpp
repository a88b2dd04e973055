// The fusion table: what a plan rewrites to be done in one go, and the ops that do it. One file a family of rules.
#pragma once

#include <wengert/engine/plan/plan.hpp>

namespace wengert {

// The rules in the order in which a plan tries them.
const std::vector<plan::Fusion>& builtin_fusions();

// Options of a plan with the built-in rules and layouts. The rules named in `without` are switched off, by "all" every one. Throws Error for a
// name that no rule has.
PlanOptions plan_options(const KernelChoice& kernels = {}, std::shared_ptr<Executor> executor = nullptr,
                         const std::vector<std::string>& without = {});

// The fused ops. They are values of plans only: they have no gradient, being made after differentiation.
std::vector<Op> fusion_ops();

// The families.
std::vector<Op> conv_fusion_ops();
std::vector<plan::Fusion> conv_forward_fusions();
std::vector<plan::Fusion> conv_gradient_fusions();
std::vector<Op> winners_ops();
std::vector<plan::Fusion> winners_fusions();
std::vector<Op> linear_fusion_ops();
std::vector<plan::Fusion> linear_fusions();
std::vector<plan::Fusion> linear_update_fusions();
std::vector<Op> cross_entropy_fusion_ops();
std::vector<plan::Fusion> cross_entropy_fusions();
std::vector<Op> batch_norm_fusion_ops();
std::vector<plan::Fusion> batch_norm_fusions();
std::vector<Op> elementwise_fusion_ops();
std::vector<plan::Fusion> elementwise_fusions();
std::vector<Op> layout_ops();
const Op& reorder_op();

}  // namespace wengert
