// Attributes: an op's options, any copyable struct with `std::string describe() const`, behind one value type.
#pragma once

#include <memory>
#include <string>
#include <type_traits>
#include <typeinfo>
#include <utility>

namespace wengert {

class Attributes {
 public:
  Attributes() = default;  // an op without options

  template <class A>
  requires(!std::is_same_v<std::remove_cvref_t<A>, Attributes>)
      Attributes(A value)  // implicit, so that call sites read apply(op, MyAttributes{...}, inputs)
      : holder_(std::make_shared<const Held<A>>(std::move(value))) {}

  // The struct it was made from. Throws Error("wanted attributes ..., got ...") where it is of another type or none.
  template <class A>
  const A& as() const {
    if (!holds<A>()) refuse(typeid(A));
    return static_cast<const Held<A>*>(holder_.get())->value;
  }
  template <class A>
  bool holds() const {
    return holder_ && holder_->type() == typeid(A);
  }
  std::string describe() const { return holder_ ? holder_->describe() : std::string(); }

 private:
  struct Holder {
    virtual ~Holder() = default;
    virtual const std::type_info& type() const = 0;
    virtual std::string describe() const = 0;
  };
  template <class A>
  struct Held final : Holder {
    explicit Held(A held) : value(std::move(held)) {}
    const std::type_info& type() const override { return typeid(A); }
    std::string describe() const override { return value.describe(); }
    A value;
  };
  [[noreturn]] void refuse(const std::type_info& wanted) const;
  std::shared_ptr<const Holder> holder_;
};

}  // namespace wengert
