// Catalogue: the set of ops, a value. An application copies the built-in one (ops/catalogue.hpp) and adds ops and kernels.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include <wengert/engine/op.hpp>

namespace wengert {

class Catalogue {
 public:
  Catalogue() = default;

  // Throws Error where a part is missing (shape rule, vjp, batch rule, samples, a naive kernel first) or the name is taken.
  void add(Op op);
  // As add, for a name that is there: the tapes that hold this catalogue use the new descriptor.
  void replace(Op op);
  // Adds a better kernel of an op to the end of its list. Throws Error on an unknown op or a second kernel of that backend.
  void add_kernel(const std::string& op, Kernel kernel);

  const Op* find(const std::string& name) const;  // null where it is not there
  const Op& at(const std::string& name) const;    // throws Error with the nearest name
  std::vector<std::string> names() const;         // sorted

  // This catalogue's op of that name, else the op itself.
  const Op& resolve(const Op& op) const;

 private:
  std::map<std::string, std::shared_ptr<const Op>, std::less<>> ops_;
};

}  // namespace wengert
