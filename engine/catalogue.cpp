#include <wengert/engine/catalogue.hpp>

#include <wengert/engine/error.hpp>

namespace wengert {

namespace {

void check_complete(const Op& op) {
  const auto missing = [&](const char* part) { fail("[catalogue] op '" + op.name + "' has no " + part); };
  if (op.name.empty()) fail("[catalogue] an op has no name");
  if (!op.shapes) missing("shape rule");
  if (!op.vjp && op.smoothness != Op::Smoothness::constant) missing("vjp (say smoothness = constant where there is no gradient)");
  if (!op.batch) missing("batch rule");
  if (!op.samples) missing("samples");
  if (op.kernels.empty() || op.kernels.front().backend != "naive") missing("naive kernel at the front of its list");
  for (const Kernel& kernel : op.kernels) {
    if (!kernel.run) missing(("run function in its kernel '" + kernel.backend + "'").c_str());
    add_known_backend(kernel.backend);
  }
}

}  // namespace

void Catalogue::add(Op op) {
  check_complete(op);
  if (find(op.name) != nullptr) fail("[catalogue] there is an op '" + op.name + "' already; replace() changes it");
  std::string name = op.name;
  ops_.emplace(std::move(name), std::make_shared<const Op>(std::move(op)));
}

void Catalogue::replace(Op op) {
  check_complete(op);
  at(op.name);
  std::shared_ptr<const Op>& place = ops_[op.name];  // before op, and its name with it, is moved from
  place = std::make_shared<const Op>(std::move(op));
}

void Catalogue::add_kernel(const std::string& name, Kernel kernel) {
  Op op = at(name);
  if (op.kernel(kernel.backend) != nullptr) fail("[catalogue] op '" + name + "' has a kernel '" + kernel.backend + "' already");
  op.kernels.push_back(std::move(kernel));
  replace(std::move(op));
}

const Op* Catalogue::find(const std::string& name) const {
  const auto found = ops_.find(name);
  return found == ops_.end() ? nullptr : found->second.get();
}

const Op& Catalogue::at(const std::string& name) const {
  if (const Op* op = find(name)) return *op;
  fail("[catalogue] unknown op '" + name + "'" + suggestion(name, names()));
}

std::vector<std::string> Catalogue::names() const {
  std::vector<std::string> result;
  for (const auto& entry : ops_) result.push_back(entry.first);
  return result;
}

const Op& Catalogue::resolve(const Op& op) const {
  const Op* own = find(op.name);
  return own != nullptr ? *own : op;
}

}  // namespace wengert
