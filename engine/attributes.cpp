#include <wengert/engine/attributes.hpp>

#include <cxxabi.h>

#include <cstdlib>

#include <wengert/engine/error.hpp>

namespace wengert {

namespace {

std::string readable(const std::type_info& type) {
  int status = 0;
  const std::unique_ptr<char, decltype(&std::free)> text(abi::__cxa_demangle(type.name(), nullptr, nullptr, &status), &std::free);
  return text ? text.get() : type.name();
}

}  // namespace

void Attributes::refuse(const std::type_info& wanted) const {
  fail("wanted attributes " + readable(wanted) + ", got " + (holder_ ? readable(holder_->type()) : "none"));
}

}  // namespace wengert
