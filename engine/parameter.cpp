#include <wengert/engine/parameter.hpp>

#include <cmath>
#include <vector>

#include <wengert/engine/context.hpp>
#include <wengert/engine/device.hpp>
#include <wengert/engine/error.hpp>
#include <wengert/engine/random.hpp>
#include <wengert/engine/tape.hpp>

namespace wengert {

struct Parameter::State {
  std::string name;
  Role role;
  Initial initial_value;
  Tensor value;
  std::uint64_t version = 0;
  bool frozen = false;
  bool initial = true;  // nobody has set it since it was initialised

  void draw(std::uint64_t seed);
};

Initial Initial::he_uniform(Index fan_in) { return uniform(std::sqrt(6.0 / static_cast<double>(fan_in))); }

Initial Initial::glorot_uniform(Index fan_in, Index fan_out) { return uniform(std::sqrt(6.0 / static_cast<double>(fan_in + fan_out))); }

Parameter::Parameter(std::string name, const Shape& shape, Initial initial, Role role)
    : state_(std::make_shared<State>(State{std::move(name), role, initial, Tensor::declared({shape, DType::f32})})) {
  state_->draw(0);
}

const std::string& Parameter::name() const { return state_->name; }
const Shape& Parameter::shape() const { return state_->value.shape(); }
Parameter::Role Parameter::role() const { return state_->role; }
bool Parameter::frozen() const { return state_->frozen; }
void Parameter::freeze(bool frozen) { state_->frozen = frozen; }
Tensor Parameter::value() const { return state_->value.to({}); }
Tensor Parameter::tensor() const { return state_->value; }
Device Parameter::device() const { return state_->value.device(); }
void Parameter::to(Device device) const { state_->value = state_->value.to(device); }
std::uint64_t Parameter::version() const { return state_->version; }

void Parameter::set_value(Tensor value) {
  if (value.spec() != state_->value.spec()) {
    fail("[parameter '" + name() + "'] wanted " + state_->value.spec().text() + ", got " + value.spec().text());
  }
  value = value.to(device());  // throws where it is only declared
  if (device() == Device{}) {
    state_->value = std::move(value);
  } else {  // plans that have recorded where it lies find it there
    const View to = state_->value.mutable_memory();
    device_runtime(device())->queue().copy(to.data, value.memory().data, to.bytes());
  }
  changed();
}

void Parameter::own() { state_->value.mutable_memory(); }
void Parameter::changed() {
  state_->initial = false;
  ++state_->version;
}

void Parameter::State::draw(std::uint64_t seed) {
  const Shape shape = value.shape();
  const Device device = value.device();
  if (initial_value.kind == Initial::Kind::constant) {
    value = Tensor::full(shape, initial_value.value);
  } else {
    std::vector<float> drawn(static_cast<std::size_t>(shape.elements()));
    fill_uniform(random_stream(seed, name), drawn, -initial_value.value, initial_value.value);
    value = Tensor::copy(drawn.data(), shape);
  }
  value = value.to(device);
}

void Parameter::initialise(std::uint64_t seed, bool keep_set) {
  if (keep_set && !state_->initial) return;
  state_->draw(seed);
  state_->initial = true;
  ++state_->version;
}

Var Parameter::on(const At& x) const {
  if (x.var.recorded() && Context::current().recording) return x.var.tape().parameter(*this, x.site);
  return Var(tensor());
}

Parameter Parameter::clone() const {
  Parameter copy = *this;
  copy.state_ = std::make_shared<State>(*state_);
  return copy;
}

}  // namespace wengert
